"""Tests of the real `scrapy` command against the sandbox API over HTTP and a real database."""
