"""Buy the followings of Twitter KOLs page by page and upsert them into a table."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - one line where an older one would show a traceback
    sys.exit(f"kolspider: Python 3.11 or newer is needed, and this is {sys.version.split()[0]}")

__version__ = "1.0.0"
