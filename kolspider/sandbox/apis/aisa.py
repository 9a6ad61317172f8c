"""AIsa sells twitterapi.io's lists: its paths behind `/apis/v1`, its parameters and its answers.

From AIsa's own documentation and from clients of others: the paths, the key as a Bearer token, one price for each call
that succeeds, whatever it returns. Its errors were never seen, and are taken to be those of twitterapi.io; so is what
`TwitterApiIo` decides. No call that tells the balance is known.
"""

from collections.abc import Mapping
from typing import ClassVar

from kolspider.sandbox.apis.contract import Ask
from kolspider.sandbox.apis.twitterapi_io import TwitterApiIo
from kolspider.sandbox.calls import Kind

__all__ = ["Aisa"]


class Aisa(TwitterApiIo):
    """A unit of the meter is a call: $0.002 for 1,000 users, at 200 a call."""

    headers: ClassVar[Mapping[str, str]] = {"Authorization": "Bearer {key}"}
    base = "/apis/v1"
    paths: ClassVar[Mapping[str, tuple[str, Kind]]] = {
        f"/apis/v1{path}": what for path, what in TwitterApiIo.paths.items() if what[1] != "balance"
    }
    usd = 0.0004

    def price(self, ask: Ask, found: int) -> int:
        """The same for each call."""
        return 1
