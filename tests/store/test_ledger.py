"""What is left of the ledger after its pages were deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolspider.items import Kol, State

if TYPE_CHECKING:
    from kolspider.store.connection import Connection
    from kolspider.store.ledger import Ledger


def test_clearing_the_pages_keeps_the_progress_of_lists_that_are_in_a_target_and_of_no_other(
    ledger: Ledger, store: Connection
) -> None:
    """A list that is in no target has lost the pages it consisted of: it must not count as read."""
    for handle, state, is_loaded in (
        ("here", State.FETCHED, True),
        ("elsewhere", State.FETCHED, True),
        ("fetched", State.FETCHED, False),
        ("partial", State.PARTIAL, False),
        ("gone", State.NOT_FOUND, False),
    ):
        ledger.kols.begin(Kol(handle, handle))
        seq = ledger.pages.put(Kol(handle, handle), 0, "", 1, 200, b"page", fetched_at=1.0)
        ledger.kols.end(handle, state, "", 1, 200, bought=True)
        if is_loaded:
            ledger.note_loaded([seq], None)
            ledger.kols.settle(handle, evict=False)
    store.execute("UPDATE kol_load SET target = 2 WHERE handle = 'elsewhere'")

    ledger.clear(keep_progress=True)

    assert len(ledger.pages) == 0
    assert {kol.handle: kol.state for kol in ledger.kols} == {
        "here": State.COMPLETE,
        "elsewhere": State.FETCHED,
        "fetched": State.FETCHING,
        "partial": State.FETCHING,
        "gone": State.NOT_FOUND,
    }
    for handle, state, is_over in (
        ("here", State.FETCHED, True),
        ("fetched", State.FETCHING, False),
        ("partial", State.PARTIAL, False),
    ):
        (reading,) = ledger.readings.of_kol(handle)
        assert reading.state == state
        kol = ledger.kols.find(handle)
        assert kol
        assert (kol.pages, kol.users) == ((1, 200) if is_over else (0, 0))

    ledger.selection.read(kol.user_name for kol in ledger.kols)
    ledger.selection.choose_due(now=2.0, refresh_before=None, retry=(), limit=None, keep_done=False)
    assert {due.kol.handle for due in ledger.selection.due()} == {"fetched", "partial"}

    ledger.clear(keep_progress=False)
    assert list(ledger.kols) == []
