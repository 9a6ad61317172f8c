"""Buy the followings of Twitter KOLs page by page and upsert them into a table."""

__version__ = "1.0.0"
