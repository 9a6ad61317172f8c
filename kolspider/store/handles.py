"""Handles: the many ways in which people write one KOL's name, made one `Kol`. Pure."""

from __future__ import annotations

import re
import unicodedata

from kolspider.items import Kol

__all__ = ["HandleError", "normalise"]


class HandleError(ValueError):
    """What stands in the source is neither a handle nor a link to a profile. The message is one line."""


# Twitter's own limit is 15 today; older and imported names are longer.
_HANDLE = re.compile(r"[A-Za-z0-9_]{1,50}")

_PROFILE_LINK = re.compile(
    r"(?:(?:https?:)?//)?(?:(?:www|mobile|m)\.)?(?:twitter|x)\.com(?::\d+)?/(?:#!/)?@?(\w+)(?:[/?#]\S*)?",
    re.IGNORECASE | re.ASCII,
)

# First parts of paths on twitter.com that are pages of the site, not accounts.
# fmt: off
_SITE_PAGES = frozenset({
    "about", "account", "compose", "download", "explore", "hashtag", "home", "i", "intent", "jobs",
    "lists", "login", "logout", "messages", "notifications", "oauth", "privacy", "search", "settings",
    "share", "signup", "tos", "who_to_follow",
})
# fmt: on

# NFKC, but of the wide and small forms of ASCII alone: all of NFKC would turn `BTC™` and `BTC²` into other
# people's handles (BTCTM, BTC2), and their lists would be paid for.
_WIDE_FORMS = {
    code: unicodedata.normalize("NFKC", chr(code)) for code in (*range(0xFF01, 0xFF5F), *range(0xFE50, 0xFE6C))
}


def normalise(raw: object) -> Kol | None:
    """The KOL that `raw` names; None when it is blank; `HandleError` when it can't be a handle.

    `@BTC`, ` btc ` and `https://x.com/BTC/with_replies` are one KOL: its `handle` is `btc`.
    """
    text = _text(raw)
    if not text:
        return None
    if link := _PROFILE_LINK.fullmatch(text):
        user_name = link[1]
        if user_name.lower() in _SITE_PAGES:
            raise _invalid(raw)
    else:
        user_name = text
    if not _HANDLE.fullmatch(user_name):
        raise _invalid(raw)
    return Kol(handle=user_name.lower(), user_name=user_name)


def _text(raw: object) -> str:
    """`raw` without what the eye does not see, and without the at-sign."""
    if raw is None:
        return ""
    if isinstance(raw, int) and not isinstance(raw, bool) and abs(raw) < 10**50:
        return str(raw)  # an all-digit handle, from a column or a file that made it a number
    if not isinstance(raw, str):
        raise _invalid(raw)
    text = raw.translate(_WIDE_FORMS)
    if not text.isascii():  # zero-width characters, direction marks and the byte order mark are of category Cf
        text = "".join(char for char in text if unicodedata.category(char) != "Cf")
    return text.strip().removeprefix("@").strip()


def _invalid(raw: object) -> HandleError:
    shown = ascii(raw[:60] if isinstance(raw, str) else type(raw).__name__)
    return HandleError(f"not a Twitter handle: {shown}")
