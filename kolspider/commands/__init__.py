"""The project's Scrapy commands, one in each file."""
