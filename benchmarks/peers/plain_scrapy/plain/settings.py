import os

BOT_NAME = "plain"
SPIDER_MODULES = ["plain.spiders"]
ITEM_PIPELINES = {"plain.pipelines.MySQLPipeline": 300}
LOG_LEVEL = "INFO"
ROBOTSTXT_OBEY = False
TELNETCONSOLE_ENABLED = False
COOKIES_ENABLED = False

DOWNLOAD_DELAY = 2
CONCURRENT_REQUESTS_PER_DOMAIN = 8

HTTPCACHE_ENABLED = True
HTTPCACHE_DIR = os.environ.get("HTTPCACHE_DIR", "httpcache")

API_URL = os.environ["API_URL"]
API_KEY = os.environ["API_KEY"]
MYSQL = {
    "host": os.environ["DB_HOST"],
    "port": int(os.environ["DB_PORT"]),
    "user": os.environ["DB_USER"],
    "password": os.environ["DB_PASSWORD"],
    "database": os.environ["DB_NAME"],
    "charset": "utf8mb4",
}
BATCH = 1000
