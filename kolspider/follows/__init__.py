"""Who follows whom: new follows, lost follows, and users that many KOLs follow."""
