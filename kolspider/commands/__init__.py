"""The project's own Scrapy commands, one a file."""
