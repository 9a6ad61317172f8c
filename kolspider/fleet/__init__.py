"""Several processes, on as many machines as one likes, that do one job together by a ledger in PostgreSQL."""
