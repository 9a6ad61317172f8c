"""The benchmark: kolspider against what its users might have written instead. `make bench`, or see __main__.py."""
