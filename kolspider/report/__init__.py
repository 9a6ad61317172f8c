"""The report: what the store holds, on one HTML page. Facts from the store, drawn, written; nothing is changed."""
