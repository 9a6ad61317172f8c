"""Apache Doris: over the MySQL protocol, and by Stream Load over HTTP."""
