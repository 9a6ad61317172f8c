"""Turns the many ways in which people write a KOL's name into one `Kol`. Pure."""

from __future__ import annotations

import re
import unicodedata
from contextlib import suppress

from kolspider.items import Kol

__all__ = ["HandleError", "normalise"]


class HandleError(ValueError):
    """A text that is neither a handle nor a link to a profile. The message is one line."""


# Twitter's own limit is 15 today; some old names have up to 20. Asking for a longer one only costs a call.
_HANDLE = re.compile(r"[A-Za-z0-9_]{1,20}")

_PROFILE_LINK = re.compile(
    r"(?:(?:https?:)?//)?(?:(?:www|mobile|m)\.)?(?:twitter|x)\.com(?::\d+)?/(?:#!/)?@?(\w+)(?:[/?#]\S*)?",
    re.IGNORECASE | re.ASCII,
)

# First parts of paths on twitter.com that are pages of the site, not accounts.
_SITE_PAGE = re.compile(
    "about|account|compose|download|explore|hashtag|home|i|intent|jobs|lists|login|logout|messages|notifications|"
    "oauth|privacy|search|settings|share|signup|tos|who_to_follow",
    re.IGNORECASE,
)

# NFKC, but only for the wide and small forms of ASCII: all of NFKC would turn `BTC™` and `BTC²` into other people's
# handles (BTCTM, BTC2), and their lists would be paid for.
_WIDE_FORMS = {
    code: unicodedata.normalize("NFKC", chr(code)) for code in (*range(0xFF01, 0xFF5F), *range(0xFE50, 0xFE6C))
}


def normalise(raw: object) -> Kol | None:
    """Return the KOL that `raw` names; None if it is blank. Raises HandleError if it can't be a handle.

    `@BTC`, ` btc ` and `https://x.com/BTC/with_replies` are one KOL: its `handle` is `btc`.
    """
    text = _text(raw)
    if not text:
        return None
    link = _PROFILE_LINK.fullmatch(text)
    user_name = link[1] if link else text
    if not _HANDLE.fullmatch(user_name) or (link and _SITE_PAGE.fullmatch(user_name)):
        raise _invalid(raw)
    return Kol(handle=user_name.lower(), user_name=user_name)


def _text(raw: object) -> str:
    """Return `raw` without invisible characters and the at-sign."""
    if raw is None:
        return ""
    if isinstance(raw, int) and not isinstance(raw, bool):
        with suppress(ValueError):  # of thousands of digits
            return str(raw)  # an all-digit handle, from a column or file that holds it as a number
    if not isinstance(raw, str):
        raise _invalid(raw)
    text = raw.translate(_WIDE_FORMS)
    if not text.isascii():  # zero-width characters, direction marks and the byte order mark are of category Cf
        text = "".join(char for char in text if unicodedata.category(char) != "Cf")
    return text.strip().removeprefix("@").strip()


def _invalid(raw: object) -> HandleError:
    shown = ascii(raw[:60] if isinstance(raw, str) else type(raw).__name__)
    return HandleError(f"not a Twitter handle: {shown}")
