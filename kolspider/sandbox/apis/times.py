"""Times as some APIs write them."""

import datetime as dt

__all__ = ["iso_time"]


def iso_time(created: object) -> object:
    """A time of Twitter's API 1.1 as ISO 8601 with microseconds; something else as it is."""
    try:
        at = dt.datetime.strptime(str(created), "%a %b %d %H:%M:%S %z %Y")
    except ValueError:
        return created
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"
