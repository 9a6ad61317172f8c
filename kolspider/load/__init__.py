"""A page's way into the table: its users become rows, rows become batches, batches are committed."""
