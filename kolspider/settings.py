"""Every setting with the reason for its value. `-s NAME=value` beats the environment, which beats `.env`."""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import dotenv_values

PROJECT_DIR = Path(__file__).resolve().parents[1]
_environment = {**dotenv_values(PROJECT_DIR / ".env"), **os.environ}


def _setting(name: str, default: str) -> str:
    return _environment.get(name) or default


BOT_NAME = "kolspider"
SPIDER_MODULES = ["kolspider.spiders"]
COMMANDS_MODULE = "kolspider.commands"

# --- what users set; each is read from the environment or `.env` too -----------------------------------
KOL_API_KEY = _setting("KOL_API_KEY", "")  # only ever sent to the API's host
KOL_API_PROVIDER = _setting("KOL_API_PROVIDER", "twitterapi_io")  # which adapter in providers/
KOL_API_URL = _setting("KOL_API_URL", "")  # empty: the provider's own
KOL_DB_URL = _setting("KOL_DB_URL", "sqlite:///kol.db")  # beside scrapy.cfg: works with no server
KOL_SOURCE_TABLE = _setting("KOL_SOURCE_TABLE", "twitter_kol")
KOL_TARGET_TABLE = _setting("KOL_TARGET_TABLE", "twitter_kol_all")
KOL_FOLLOWS_TABLE = _setting("KOL_FOLLOWS_TABLE", "")  # who follows whom; empty: not kept
KOL_KNOWN_STOP = _setting("KOL_KNOWN_STOP", "1")  # pages of known accounts in a row that end an incremental crawl
KOL_CACHE_DIR = _setting("KOL_CACHE_DIR", ".kol_cache")  # beside scrapy.cfg; on a local disk, for its lock
KOL_CACHE_EVICT = _setting("KOL_CACHE_EVICT", "False")  # kept by default: a reload from pages costs nothing
KOL_CREDIT_PRICE = _setting("KOL_CREDIT_PRICE", "")  # US dollars a credit; empty: the provider's list price
KOL_DORIS_LOAD = _setting("KOL_DORIS_LOAD", "insert")  # or stream_load: over HTTP, for bulk reloads
KOL_DORIS_HTTP = _setting("KOL_DORIS_HTTP", "")  # http://fe:8030, for stream_load; user and password are KOL_DB_URL's
KOL_FLUSH_ROWS = _setting("KOL_FLUSH_ROWS", "2000")  # Doris wants 500 to 5,000 rows an INSERT
KOL_FLUSH_SECS = _setting("KOL_FLUSH_SECS", "10")  # and a new version every 5 to 30 s at most
KOL_DB_RETRY_SECS = _setting("KOL_DB_RETRY_SECS", "60")  # a database restart is ridden through
KOL_PROGRESS = _setting("KOL_PROGRESS", "1")  # what a run is at: live on a terminal, else a log line every 30 s
KOL_SUMMARY_FILE = _setting("KOL_SUMMARY_FILE", "")  # the closing table as JSON, for schedulers; empty: none
KOL_RETRY_SECS = _setting("KOL_RETRY_SECS", "5")  # first wait after a failed call; doubles each time
DOWNLOAD_DELAY = _setting("DOWNLOAD_DELAY", "2")  # seconds between API requests; cached pages do not wait
DOWNLOAD_TIMEOUT = _setting("DOWNLOAD_TIMEOUT", "30")  # also bounds how long one Ctrl-C takes
RETRY_TIMES = _setting("RETRY_TIMES", "4")  # a page is asked for at most 1 + 4 times

# --- pace ------------------------------------------------------------------------------------------------
DOWNLOAD_DELAY_JITTER = 0  # exactly DOWNLOAD_DELAY: the API's limit is a rate, politeness is not the point
CONCURRENT_REQUESTS = 8  # KOLs at once; more would only leave more lists half read
CONCURRENT_REQUESTS_PER_DOMAIN = 8
CONCURRENT_ITEMS = 1  # a page is handed to the database before the next one of its KOL is asked for

# --- the network's edge ------------------------------------------------------------------------------------
DOWNLOAD_HANDLERS = {
    "http": "kolspider.crawl.edge.ApiDownloadHandler",
    "https": "kolspider.crawl.edge.ApiDownloadHandler",
    "file": None,
    "ftp": None,
    "s3": None,
}
DOWNLOAD_VERIFY_CERTIFICATES = True  # Scrapy's default is False, and the key is in a header
DOWNLOAD_MAXSIZE = 64 * 1024 * 1024  # bytes; a page is some 150 KB, and what is larger is not one
USER_AGENT = "kolspider"
DEFAULT_REQUEST_HEADERS = {"Accept": "application/json"}
ROBOTSTXT_OBEY = False  # a paid API, not a site

# --- the response cache --------------------------------------------------------------------------------------
HTTPCACHE_ENABLED = True
HTTPCACHE_STORAGE = "kolspider.crawl.httpcache.PageStorage"
HTTPCACHE_POLICY = "kolspider.crawl.httpcache.WholePagePolicy"

# --- what Scrapy runs: these components and no others -----------------------------------------------------
# Each list stands for Scrapy's default one, whose members it imports even when they are disabled: a third of
# the start-up time, for cookies, robots.txt, redirects (the key must not follow one to another host), retries
# (answers.py: Scrapy's neither wait nor know a failure inside a 200), and the telnet and remote-control
# consoles, which are on by default and run code for whoever reaches their port.
DOWNLOADER_MIDDLEWARES_BASE = {
    "scrapy.downloadermiddlewares.downloadtimeout.DownloadTimeoutMiddleware": 350,
    "scrapy.downloadermiddlewares.defaultheaders.DefaultHeadersMiddleware": 400,
    "scrapy.downloadermiddlewares.useragent.UserAgentMiddleware": 500,
    # Nearer the spider than UnpackMiddleware: they see and store unpacked bodies.
    "scrapy.downloadermiddlewares.httpcache.HttpCacheMiddleware": 560,
    "kolspider.crawl.answers.AnswerMiddleware": 570,
    "kolspider.crawl.answers.UnpackMiddleware": 590,
    "scrapy.downloadermiddlewares.httpproxy.HttpProxyMiddleware": 750,
    "scrapy.downloadermiddlewares.stats.DownloaderStats": 850,
}
SPIDER_MIDDLEWARES_BASE: dict[str, int] = {}  # each of Scrapy's costs every page, and none has work here
EXTENSIONS_BASE = {
    "scrapy.extensions.corestats.CoreStats": 0,
    "scrapy.extensions.logcount.LogCount": 0,
    "scrapy.extensions.memusage.MemoryUsage": 0,
    "scrapy.extensions.closespider.CloseSpider": 0,
    "scrapy.extensions.feedexport.FeedExporter": 0,
    "kolspider.extensions.outcome.Outcome": 500,
    "kolspider.extensions.history.KeepHistory": 510,
    "kolspider.extensions.progress.Progress": 520,
}

# --- items ---------------------------------------------------------------------------------------------------
ITEM_PIPELINES = {
    "kolspider.pipelines.MapPipeline": 100,
    "kolspider.pipelines.UpsertPipeline": 200,
}
WARN_ON_GENERATOR_RETURN_VALUE = False  # reads the spider's source at run time, and fails when it can't
DUPEFILTER_CLASS = "scrapy.dupefilters.BaseDupeFilter"  # a page asked for again is answered by the cache

# --- logs ----------------------------------------------------------------------------------------------------
LOG_LEVEL = _setting("LOG_LEVEL", "INFO")  # DEBUG prints every item: millions of lines
LOG_FORMATTER = "kolspider.crawl.logformatter.PageLogFormatter"
LOG_VERSIONS: list[str] = []  # of libraries: for bug reports, -s LOG_VERSIONS=Twisted,Python
STATS_DUMP = _setting("STATS_DUMP", "False")  # the closing table says it for people; -s STATS_DUMP=True for all

# --- feeds (-o users.jsonl) ------------------------------------------------------------------------------------
FEED_EXPORTERS = {
    "jsonl": "kolspider.crawl.exporters.JsonLinesRows",
    "jsonlines": "kolspider.crawl.exporters.JsonLinesRows",
    "jl": "kolspider.crawl.exporters.JsonLinesRows",
    "json": "kolspider.crawl.exporters.JsonRows",
    "csv": "kolspider.crawl.exporters.CsvRows",
}
FEED_EXPORT_ENCODING = "utf-8"  # names stay readable; JSON would escape them
