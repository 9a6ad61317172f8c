"""The peer `plain Scrapy`: one item per user, Scrapy's own HTTP cache, a pipeline with executemany of 1,000 rows."""
