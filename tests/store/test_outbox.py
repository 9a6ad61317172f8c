"""The outbox: raised with the mark of the page, kept until each receiver has it, and raised once."""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest

from kolspider.items import Kol, State
from kolspider.providers import provider
from kolspider.store.database import FILE_NAME
from kolspider.store.ledger import Ledger
from kolspider.store.outbox import SHOWN, Draft
from kolspider.store.salvage import salvage_if_damaged
from kolspider.store.schema import ADDED, VERSION
from tests.store.conftest import ledger, store

if TYPE_CHECKING:
    from pathlib import Path

    from kolspider.store.connection import Connection

__all__ = ["ledger", "store"]

BTC = Kol("btc", "BTC")
A, B = "a", "b"
"""Two receivers."""
OF_FOLLOW, OF_KOL = '{"account": {"id": "1"}}', '{"account": null}'


def drafts(*ids: str, rule: str = "r", content: str = OF_FOLLOW) -> list[Draft]:
    return [Draft(id_, rule, content) for id_ in ids]


def ids_of(count: int) -> list[str]:
    return [f"id{number:03}" for number in range(count)]


def put(ledger: Ledger, *ids: str, rule: str = "r", run: int = 1) -> int:
    ledger.outbox.begin(run)
    return ledger.note_loaded([], None, alerts=drafts(*ids, rule=rule))


def test_an_alert_is_raised_once(ledger: Ledger) -> None:
    assert put(ledger, "one", "two") == 2
    assert put(ledger, "two", "three", run=2) == 1
    assert [(kept.run, kept.alerts) for kept in ledger.outbox.pending([])] == [(1, 2), (2, 1)]


def test_alerts_are_raised_with_the_mark_of_their_pages_or_not_at_all(ledger: Ledger, store: Connection) -> None:
    ledger.kols.begin(BTC)
    page = ledger.pages.put(BTC, 0, "", 1, 200, b"{}", fetched_at=1.0)
    broken = [*drafts("one"), Draft("two", "r", None)]  # type: ignore[arg-type]
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        ledger.note_loaded([page], None, alerts=broken)
    assert not ledger.pages.rejects_written(page)
    assert store.execute("SELECT count(*) FROM alert").fetchone() == (0,)


def test_a_webhook_gets_each_alert_and_a_message_stands_for_a_rule_and_a_run(ledger: Ledger) -> None:
    put(ledger, *ids_of(120), run=1)
    put(ledger, "other", rule="s", run=1)
    put(ledger, "later", run=2)
    outbox = ledger.outbox
    sizes = []
    while parcel := outbox.next_single(A):
        sizes.append(len(parcel.contents))
        outbox.note_sent(parcel, A, [A, B])
    assert sizes == [100, 22]
    groups = []
    while parcel := outbox.next_group(B, over=True):
        groups.append((parcel.run, parcel.rule, len(parcel.contents), parcel.count))
        outbox.note_sent(parcel, B, [A, B])
    assert groups == [(1, "r", SHOWN, 120), (1, "s", 1, 1), (2, "r", 1, 1)]
    assert outbox.pending([A, B]) == []


def test_the_alerts_of_a_run_are_a_message_once_its_crawl_is_over(ledger: Ledger) -> None:
    put(ledger, "old", run=1)
    put(ledger, "new", run=2)
    parcel = ledger.outbox.next_group(A, over=False)
    assert parcel
    assert parcel.run == 1
    ledger.outbox.note_sent(parcel, A, [A])
    assert ledger.outbox.next_group(A, over=False) is None
    assert ledger.outbox.next_group(A, over=True)


def test_what_arrives_while_a_parcel_is_on_its_way_is_not_taken_for_sent(ledger: Ledger) -> None:
    put(ledger, "one")
    parcel = ledger.outbox.next_single(A)
    assert parcel
    put(ledger, "two")
    ledger.outbox.note_sent(parcel, A, [A])
    assert ledger.outbox.count_pending([A]) == 1


def test_a_waiting_alert_is_nobodys_until_it_is_released_behind_all_others(ledger: Ledger) -> None:
    outbox = ledger.outbox
    ledger.outbox.begin(1)
    waiting = [Draft(id_, "why", OF_FOLLOW, account="7", since="2026-11-26 08:00:00") for id_ in ("told", "unwanted")]
    assert ledger.note_loaded([], None, alerts=[*waiting, *drafts("other")]) == 1
    assert ledger.note_loaded([], None, alerts=waiting) == 0
    assert [one.id for one in outbox.waiting()] == ["told", "unwanted"]
    assert [(kept.rule, kept.alerts, kept.missing) for kept in outbox.pending([A, B])] == [("r", 1, 2), ("why", 2, 2)]

    on_its_way = outbox.next_single(A)
    assert on_its_way
    assert on_its_way.count == 1
    assert outbox.release({"told": '{"why": "gone"}', "unwanted": None}) == 1
    outbox.note_sent(on_its_way, A, [A])
    released = outbox.next_single(A)
    assert released
    assert released.contents == ['{"why": "gone"}']
    assert outbox.waiting() == []
    assert ledger.note_loaded([], None, alerts=waiting[:1]) == 0
    assert outbox.waiting() == [], "what was released does not wait again"


def test_an_alert_is_done_when_every_receiver_that_is_left_has_it(ledger: Ledger, store: Connection) -> None:
    put(ledger, "one")
    parcel = ledger.outbox.next_single(A)
    assert parcel
    ledger.outbox.note_sent(parcel, A, [A, B])
    assert [(kept.alerts, kept.missing) for kept in ledger.outbox.pending([A, B])] == [(1, 1)]
    assert ledger.outbox.next_single(A) is None

    ledger.outbox.close_for([])
    assert ledger.outbox.count_pending([B]) == 1
    ledger.outbox.close_for([A])
    assert ledger.outbox.next_single("new") is None
    assert store.execute("SELECT count(*) FROM alert_sent").fetchone() == (0,)


def test_old_alerts_that_were_sent_are_forgotten_but_those_about_kols(ledger: Ledger, store: Connection) -> None:
    put(ledger, "one", "open")
    assert ledger.outbox.put_of_kols(drafts("gone", content=OF_KOL), time.time()) == 1
    store.execute("UPDATE alert SET done = id <> 'open', raised_at = raised_at - 91 * 86400")
    put(ledger, "new", run=2)
    assert [id_ for (id_,) in store.execute("SELECT id FROM alert ORDER BY seq")] == ["open", "gone", "new"]
    assert ledger.outbox.put_of_kols(drafts("gone", content=OF_KOL), 5.9) == 0
    assert ledger.outbox.told_until() == 5


def test_a_kol_is_gone_when_its_list_was_read_before(ledger: Ledger, store: Connection) -> None:
    def end(state: State, ended_at: float) -> None:
        ledger.kols.end("btc", state, "why", 1, 1, bought=True)
        store.execute(
            "UPDATE crawl SET ended_at = ? WHERE (provider, handle, generation) IN "
            "(SELECT provider, handle, generation FROM kol WHERE handle = 'btc' AND provider = 'twitterapi_io')",
            (ended_at,),
        )

    ledger.kols.begin(BTC)
    end(State.NOT_FOUND, 1.0)
    assert ledger.readings.gone() == []
    ledger.kols.begin_generation("btc")
    end(State.FETCHED, 2.0)
    assert ledger.readings.gone() == []
    for at in (3.0, 4.0):
        ledger.kols.begin_generation("btc")
        end(State.NOT_FOUND, at)
        assert ledger.readings.gone() == [("btc", 3.0, 2.0, "why")]
    ledger.kols.begin_generation("btc")
    end(State.FETCHED, 5.0)
    ledger.kols.begin_generation("btc")
    end(State.NOT_FOUND, 6.0)
    assert ledger.readings.gone() == [("btc", 6.0, 5.0, "why")]


@pytest.mark.parametrize("version", [4, 5])
def test_a_store_of_an_older_format_is_read_as_it_is_and_upgraded_by_a_run(tmp_path: Path, version: int) -> None:
    with closing(Ledger.open(tmp_path, provider("twitterapi_io"), "here")):
        pass
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file:
        later = "".join(tables for added, tables in ADDED.items() if added > version)
        for table in re.findall(r"CREATE TABLE (\w+)", later):
            file.execute(f"DROP TABLE {table}")
        file.execute(f"PRAGMA user_version = {version}")

    with Ledger.read(tmp_path, provider("twitterapi_io"), "here") as ledger:
        assert ledger.outbox.pending([A]) == []
        assert ledger.refusals.count() == (0, 0)
    with closing(Ledger.open(tmp_path, provider("twitterapi_io"), "here")) as ledger:
        assert put(ledger, "one") == 1
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file:
        assert file.execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_a_salvage_keeps_the_outbox(tmp_path: Path) -> None:
    with closing(Ledger.open(tmp_path, provider("twitterapi_io"), "here")) as ledger:
        put(ledger, "one", "two")
        ledger.note_loaded([], None, alerts=[Draft("three", "r", OF_FOLLOW, "7", "2026-11-26 08:00:00")])
    (tmp_path / f"{FILE_NAME}.is-damaged").touch()
    assert salvage_if_damaged(tmp_path)
    with closing(Ledger.open(tmp_path, provider("twitterapi_io"), "here")) as ledger:
        assert ledger.outbox.count_pending([]) == 3
