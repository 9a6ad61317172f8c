"""The peer `plain Scrapy`: an item a user, Scrapy's own HTTP cache, a pipeline with executemany of 1,000."""
