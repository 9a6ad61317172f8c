"""Every setting, with the reason for its value. `-s NAME=value` beats the environment, which beats `.env`."""

from __future__ import annotations

import os

from kolspider.console import start

start.prepare()  # before the imports that take a moment

from kolspider.options import config  # noqa: E402 - as above; not its names in capitals, which Scrapy would take for settings
from kolspider.options.environment import Environment  # noqa: E402 - as above

_environment = Environment(os.environ, config.PROJECT_DIR / ".env")
_setting = _environment.get
_environment.export({"https_proxy", "http_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir"})

BOT_NAME = "kolspider"
SPIDER_MODULES = ["kolspider.spiders"]
COMMANDS_MODULE = start.commands_module()

# --- what users set; each can stand in the environment or in `.env`, too ------------------------------
# All KOL_ settings; options/config.py declares each with its default and its meaning.
globals().update({name: _setting(name, default) for name, default in config.DEFAULTS.items()})
DOWNLOAD_DELAY = _setting("DOWNLOAD_DELAY", "")  # seconds between API requests, if not the provider's own
DOWNLOAD_TIMEOUT = _setting("DOWNLOAD_TIMEOUT", "30")  # this also bounds how long one Ctrl-C takes
RETRY_TIMES = _setting("RETRY_TIMES", "4")  # a page is requested at most 1 + 4 times

# --- pace -----------------------------------------------------------------------------------------
DOWNLOAD_DELAY_JITTER = 0  # the API limits the rate, so the delay is exact; it is not for politeness
CONCURRENT_REQUESTS = 64  # KOLs at once at most: a list is begun only when the next turn would go unused otherwise
CONCURRENT_REQUESTS_PER_DOMAIN = 64
CONCURRENT_ITEMS = 1  # the writer takes a page before the next one of its KOL is requested

# --- the download handler --------------------------------------------------------------------------
DOWNLOAD_HANDLERS = {
    "http": "kolspider.crawl.download_handler.ApiDownloadHandler",
    "https": "kolspider.crawl.download_handler.ApiDownloadHandler",
    "file": None,
    "ftp": None,
    "s3": None,
}
DOWNLOAD_VERIFY_CERTIFICATES = True  # Scrapy's default is False, but each request carries the key
DOWNLOAD_MAXSIZE = 8 * 1024 * 1024  # bytes, also unpacked; a page is some 150 KB, so a larger answer is not a page
TWISTED_DNS_RESOLVER = "scrapy.resolver.CachingHostnameResolver"  # the default one knows no IPv6
DNSCACHE_ENABLED = False  # runs last hours: each connection looks the API's address up again, in about a millisecond
USER_AGENT = "kolspider"
DEFAULT_REQUEST_HEADERS = {"Accept": "application/json"}
ROBOTSTXT_OBEY = False  # a paid API, not a site

# --- the response cache ---------------------------------------------------------------------------
HTTPCACHE_ENABLED = True
HTTPCACHE_STORAGE = "kolspider.crawl.httpcache.PageStorage"
HTTPCACHE_POLICY = "kolspider.crawl.httpcache.WholePagePolicy"

# --- what Scrapy runs: these components and no others ---------------------------------------------
# Each list replaces Scrapy's default one. Scrapy imports the members of its own lists even when they are disabled,
# which takes a third of the start-up time, and kolspider uses none of: cookies, robots.txt, redirects (one could take
# the key to another host), retries (crawl/answers.py waits, and sees failures inside a 200; Scrapy does neither), and
# the telnet and remote-control consoles, which are on by default and run code for anybody who reaches their port.
DOWNLOADER_MIDDLEWARES_BASE = {
    "scrapy.downloadermiddlewares.downloadtimeout.DownloadTimeoutMiddleware": 350,
    "scrapy.downloadermiddlewares.defaultheaders.DefaultHeadersMiddleware": 400,
    "scrapy.downloadermiddlewares.useragent.UserAgentMiddleware": 500,
    # These two are nearer the spider than UnpackMiddleware: they see and store unpacked bodies.
    "kolspider.crawl.httpcache.PageCache": 560,
    "kolspider.crawl.answers.AnswerMiddleware": 570,
    "kolspider.crawl.unpacking.UnpackMiddleware": 590,
    "scrapy.downloadermiddlewares.httpproxy.HttpProxyMiddleware": 750,
    "scrapy.downloadermiddlewares.stats.DownloaderStats": 850,
}
SPIDER_MIDDLEWARES_BASE: dict[str, int] = {}  # Scrapy's cost time for every page and do nothing here
EXTENSIONS_BASE = {
    "scrapy.extensions.corestats.CoreStats": 0,
    "scrapy.extensions.logcount.LogCount": 0,
    "scrapy.extensions.memusage.MemoryUsage": 0,
    "scrapy.extensions.closespider.CloseSpider": 0,
    "kolspider.crawl.feeds.RowFeeds": 0,
    "kolspider.extensions.outcome.Outcome": 500,
    "kolspider.extensions.history.KeepHistory": 510,
    "kolspider.extensions.progress.Progress": 520,
}

# --- items ----------------------------------------------------------------------------------------
ITEM_PIPELINES = {
    "kolspider.pipelines.MapPipeline": 100,
    "kolspider.pipelines.UpsertPipeline": 200,
}
WARN_ON_GENERATOR_RETURN_VALUE = False  # the check reads the spider's source at run time, and fails without it
DUPEFILTER_CLASS = "scrapy.dupefilters.BaseDupeFilter"  # a repeated request is answered by the cache

# --- logs -----------------------------------------------------------------------------------------
LOG_LEVEL = _setting("LOG_LEVEL", "INFO")  # DEBUG prints every item: millions of lines
LOG_FORMAT = "%(asctime)s %(levelname).1s %(message)s"  # short, so that most lines fit 80 columns
LOG_DATEFORMAT = "%H:%M:%S"  # the first line has the date; the lines of a LOG_FILE have Scrapy's own format
LOG_FORMATTER = "kolspider.crawl.logformatter.PageLogFormatter"
LOG_VERSIONS: list[str] = []  # versions of libraries; for a bug report: -s LOG_VERSIONS=Twisted,Python
STATS_DUMP = _setting("STATS_DUMP", "False")  # the closing table has what matters; -s STATS_DUMP=True logs them all

# --- feeds (-o users.jsonl) -----------------------------------------------------------------------
FEED_EXPORTERS = {"csv": "kolspider.crawl.feeds.CsvRows", "xml": None, "marshal": None, "pickle": None}
FEED_STORAGES = {
    "": "kolspider.crawl.feeds.FileStorage",
    "file": "kolspider.crawl.feeds.FileStorage",
    "stdout": "kolspider.crawl.feeds.StdoutStorage",
}
FEED_EXPORT_ENCODING = "utf-8"  # names stay readable; JSON would escape them

_environment.check()  # at the end: a name that was not asked for above is a mistake
