"""The truth of a run: one SQLite file in the cache directory with the pages paid for and the ledger of KOLs."""
