"""The report: facts read from the store, shown on one HTML page. It changes nothing."""
