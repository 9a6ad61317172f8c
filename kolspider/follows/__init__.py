"""Who follows whom: what the follows table tells of new and lost follows."""
