"""The Scrapy components between the spider and the API, the response cache, and feeds."""
