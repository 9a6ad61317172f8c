"""An emptied follows table: what is advised fills it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from kolspider.follows.emptied import emptied
from kolspider.items import Kol, State
from kolspider.providers import provider
from kolspider.store.database import empty_in_memory
from kolspider.store.ledger import Ledger

REPLAY, REFRESH = "replay=all` loads", "-a refresh=0s` buys"


@pytest.mark.parametrize(
    ("pruned", "advised"),
    [((), {REPLAY}), (("btc", "eth"), {REFRESH}), (("btc",), {REPLAY, REFRESH})],
    ids=["all cached", "none cached", "some cached"],
)
def test_the_advice_depends_on_the_lists_that_are_in_the_cache(pruned: tuple[str, ...], advised: set[str]) -> None:
    with closing(empty_in_memory()) as store:
        ledger = Ledger(store, Path(), provider("twitterapi_io"), 1)
        for handle in ("btc", "eth"):
            ledger.kols.begin(Kol(handle, handle))
            seq = ledger.pages.put(Kol(handle, handle), 0, "", 1, 200, b"page", fetched_at=1.0)
            ledger.kols.end(handle, State.FETCHED, "", 1, 200, bought=True)
            ledger.note_loaded([seq], None)
            ledger.kols.settle(handle, evict=False)
        ledger.kols.begin(Kol("new", "new"))
        ledger.pages.put(Kol("new", "new"), 0, "", 1, 200, b"page", fetched_at=1.0)  # of no list that was loaded
        for handle in pruned:
            store.execute("DELETE FROM page WHERE handle = ?", (handle,))

        warning = emptied(["follows"], ledger.kols)

        assert "2 lists were loaded" in warning
        assert {advice for advice in (REPLAY, REFRESH) if advice in warning} == advised
        assert emptied([], ledger.kols) == ""
