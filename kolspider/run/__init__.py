"""One run of the crawl command, from opening to closing."""
