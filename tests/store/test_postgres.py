"""The ledger in PostgreSQL, where several processes write and the server may go away."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kolspider.errors import StopRun, WrongUsage
from kolspider.items import FollowingsPage, Kol, Reject, State
from kolspider.providers import provider
from kolspider.store.connection import LedgerAway
from kolspider.store.ledger import Ledger
from kolspider.store.postgres import check, connect, connect_to_read
from kolspider.store.schema import ADDED, VERSION
from tests.postgres import PASSWORD, USER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kolspider.store.postgres import PostgresConnection
    from tests.postgres import Postgres

BTC, ETH = Kol("btc", "BTC"), Kol("eth", "ETH")


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    """A ledger of its own, which is not created yet."""
    schema = f"test_{secrets.token_hex(4)}"
    yield postgres.url(schema=schema)
    with closing(postgres.connect()) as root:
        schemas = root.execute("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s)", (schema,)).fetchall()
        for (name,) in schemas:
            root.execute(f"DROP SCHEMA {name} CASCADE".encode())


@pytest.fixture
def join(url: str) -> Iterator[Callable[[], Ledger]]:
    """Opens the ledger once more, as another machine does."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(opened(url)))


def opened(url: str) -> Ledger:
    return Ledger.open(Path(), provider("twitterapi_io"), "here", shared_url=url)


def connection_of(ledger: Ledger) -> PostgresConnection:
    assert ledger.shared
    return ledger.shared


def put(ledger: Ledger, kol: Kol, body: bytes = b"{}") -> int:
    return ledger.pages.put(kol, 0, "", 1, 200, body, fetched_at=1.0)


def wait_for_a_turn(postgres: Postgres) -> None:
    """Wait until a session waits for another one's turn to end."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'"
    with closing(postgres.connect()) as root:
        while root.execute(waiting).fetchone() == (0,):
            time.sleep(0.01)


def test_pages_are_numbered_in_the_order_in_which_they_are_seen(postgres: Postgres, join: Callable[[], Ledger]) -> None:
    one, other, reader = join(), join(), join()
    with ThreadPoolExecutor(1) as pool:
        with connection_of(one).transaction(in_turn=True):
            first = put(one, BTC)
            second = pool.submit(put, other, ETH)
            wait_for_a_turn(postgres)
            assert len(reader.pages) == 0, "nothing is seen before what has a smaller number"
        assert second.result() > first
    assert len(reader.pages) == 2


def test_a_page_that_is_put_twice_is_one(join: Callable[[], Ledger]) -> None:
    one, other = join(), join()
    first = put(one, BTC)
    assert put(one, BTC) == put(other, BTC) == first
    assert put(other, BTC, b"another answer") == first, "the one that is there is good"
    assert len(one.pages) == 1


def test_a_process_that_was_taken_for_dead_writes_nothing_but_the_pages_that_came(join: Callable[[], Ledger]) -> None:
    ledger = join()
    ledger.kols.begin(BTC)

    def fence() -> None:
        raise StopRun("taken for dead")

    connection_of(ledger).fence = fence
    for work in (
        lambda: ledger.kols.end("btc", State.FETCHED, "", 1, 200, bought=True),
        lambda: ledger.kols.add_calls("btc", 1),
        lambda: ledger.note_loaded([1], None),
        lambda: ledger.runs.note_bill(1, 1.0, 0.1),
    ):
        with pytest.raises(StopRun, match="taken for dead"):
            work()
    page = put(ledger, BTC)
    connection_of(ledger).fence = None
    found = ledger.kols.find("btc")
    assert found
    assert (found.state, found.calls) == (State.FETCHING, 0)
    assert ledger.pages.are_waiting("btc", 0)
    ledger.note_loaded([page], None)
    assert not ledger.pages.are_waiting("btc", 0)


def test_a_run_goes_on_where_it_was_when_the_server_is_back(postgres: Postgres, join: Callable[[], Ledger]) -> None:
    ledger = join()
    ledger.selection.read(["BTC", "ETH"])
    ledger.selection.choose_due(now=1.0, refresh_before=None, retry=(), limit=None, keep_done=False)
    ledger.selection.mark_reached("btc")
    postgres.stop()
    try:
        for work in (lambda: ledger.kols.begin(BTC), connection_of(ledger).reconnect, lambda: put(ledger, BTC)):
            with pytest.raises(LedgerAway) as caught:
                work()
            assert "KOL_SHARED_URL" in str(caught.value)
            assert PASSWORD not in str(caught.value)
            assert "\n" not in str(caught.value)
    finally:
        postgres.start()
    connection_of(ledger).reconnect()
    assert [due.kol for due in ledger.selection.due()] == [BTC, ETH]
    ledger.kols.begin(BTC)
    assert ledger.kols.states_of_selected() == {State.FETCHING: 1, State.NEW: 1}


def test_a_transaction_that_is_cut_off_leaves_nothing(postgres: Postgres, join: Callable[[], Ledger]) -> None:
    ledger = join()
    connection = connection_of(ledger)
    with pytest.raises(LedgerAway), connection.transaction():  # noqa: PT012
        ledger.kols.begin(BTC)
        postgres.kill_sessions()
        ledger.kols.begin(ETH)
    connection.reconnect()
    assert list(ledger.kols) == []


def test_a_process_that_is_frozen_in_its_turn_holds_no_other_up(join: Callable[[], Ledger]) -> None:
    frozen, other = join(), join()
    with pytest.raises(LedgerAway), connection_of(frozen).transaction(in_turn=True):  # noqa: PT012
        frozen.kols.begin(BTC)
        put(other, ETH)  # waits for some seconds
        frozen.kols.begin(ETH)
    assert other.kols.find("btc") is None


def test_what_a_run_selected_goes_with_it_or_later_when_it_was_killed(
    postgres: Postgres, url: str, join: Callable[[], Ledger]
) -> None:
    ended, killed = opened(url), opened(url)
    ended.close()
    connection_of(killed)._server.close()  # as the process would
    with closing(postgres.connect()) as root:

        def schemas() -> list[str]:
            found = root.execute(
                "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s)",
                (f"{connection_of(killed).schema}_run_",),
            )
            return [name for (name,) in found.fetchall()]

        (left,) = schemas()
        running = join()
        assert left in schemas(), "it may only have lost its connection for a moment"
        long_ago = f"{connection_of(killed).schema}_run_1700000000_"
        root.execute(f"ALTER SCHEMA {left} RENAME TO {long_ago}killed".encode())
        root.execute(f"CREATE SCHEMA {long_ago}held; SELECT pg_advisory_lock_shared(hashtext('{long_ago}held'), 1)")
        join()
        assert f"{long_ago}killed" not in schemas()
        assert f"{long_ago}held" in schemas()
    assert running.selection.count() == 0


def test_what_a_crash_must_not_take_back_is_on_disk(postgres: Postgres, url: str) -> None:
    level = "SELECT current_setting('synchronous_commit')"
    with closing(postgres.connect()) as root:
        root.execute(f"ALTER ROLE {USER} SET synchronous_commit = off")
        try:
            ledger = opened(url)
        finally:
            root.execute(f"ALTER ROLE {USER} RESET synchronous_commit")
    with closing(ledger):
        with ledger.connection.transaction(synced=False):
            assert ledger.connection.execute(level).fetchone() == ("off",)
        with ledger.connection.transaction():
            assert ledger.connection.execute(level).fetchone() == ("on",)


def test_an_error_that_is_passed_over_in_a_transaction_does_not_pass_for_a_commit(join: Callable[[], Ledger]) -> None:
    ledger = join()
    with pytest.raises(RuntimeError, match="none of its changes"), ledger.connection.transaction():  # noqa: PT012
        ledger.kols.begin(BTC)
        with pytest.raises(Exception, match="no_such_table"):
            ledger.connection.execute("SELECT 1 FROM no_such_table")
    assert list(ledger.kols) == []


def test_users_set_aside_are_kept_once(join: Callable[[], Ledger]) -> None:
    ledger = join()
    page = FollowingsPage(BTC, 1, "", [], last=True, seq=7)
    rejects = [(page, Reject("no_id", {"name": "a\0b"})), (page, Reject("no_id", {"name": "c"}))]
    for _ in range(2):
        assert ledger.rejects.append(rejects) is None
    rows = ledger.connection.execute("SELECT seq, number FROM reject ORDER BY id").fetchall()
    assert rows == [(7, 1), (7, 2)]


def test_text_of_an_api_that_postgresql_can_not_hold_is_kept_without_it(join: Callable[[], Ledger]) -> None:
    ledger = join()
    ledger.kols.begin(BTC)
    ledger.kols.end("btc", State.FAILED, "what\0ever", 0, 0, bought=False)
    found = ledger.kols.find("btc")
    assert found
    assert found.reason == "what\ufffdever"


def test_a_selection_counts_what_is_in_the_tables_before_it_joins_them(
    postgres: Postgres, join: Callable[[], Ledger]
) -> None:
    """Without, PostgreSQL compared each of 100,000 KOLs with each other one; autovacuum is off here."""
    ledger = join()
    for number in range(3):
        ledger.kols.begin(Kol(f"kol{number}", f"kol{number}"))
    ledger.selection.read(["kol1"])
    with closing(postgres.connect()) as root:
        ((counted,),) = root.execute(
            "SELECT reltuples FROM pg_class WHERE oid = to_regclass(%s)", (f"{connection_of(ledger).schema}.kol",)
        )
    assert counted == 3


def test_several_machines_create_the_tables_once(url: str) -> None:
    with ThreadPoolExecutor(4) as pool, ExitStack() as stack:
        ledgers = [stack.enter_context(closing(ledger)) for ledger in pool.map(opened, [url] * 4)]
        assert put(ledgers[0], BTC) == put(ledgers[3], BTC)


def test_a_ledger_before_its_first_run_is_empty_to_read(url: str) -> None:
    assert connect_to_read(url) is None
    with Ledger.read(Path(), provider("twitterapi_io"), "here", shared_url=url) as ledger:
        assert list(ledger.kols) == []


def test_a_ledger_of_a_later_version_is_left_alone_and_an_older_one_upgraded(url: str) -> None:
    with closing(connect(url)) as connection:
        connection.execute("UPDATE format SET version = ?", (VERSION + 1,))
    for work in (connect, connect_to_read):
        with pytest.raises(WrongUsage, match="later version"):
            work(url)
    with closing(connect_to_be_older(url)):
        pass
    with pytest.raises(WrongUsage, match="the next run upgrades"):
        connect_to_read(url)
    with closing(connect(url)) as connection:
        assert connection.execute("SELECT count(*) FROM alert_sent").fetchone() == (0,)
        assert connection.find_format() == VERSION


def connect_to_be_older(url: str) -> PostgresConnection:
    """Make the ledger one of the format before."""
    postgres_url, _, schema = url.partition("?schema=")
    connection = connect(f"{postgres_url}?schema={schema}_2")
    connection.execute(f"UPDATE {schema}.format SET version = ?", (VERSION - 1,))
    for line in ADDED[VERSION].splitlines():
        if line.startswith("CREATE TABLE"):
            connection.execute(f"DROP TABLE {schema}.{line.split()[2]}")
    return connection


def test_a_database_that_can_not_hold_every_name_is_refused(postgres: Postgres) -> None:
    with closing(postgres.connect("postgres")) as root:
        root.execute("CREATE DATABASE ascii OWNER kol ENCODING 'SQL_ASCII' TEMPLATE template0")
    for ask in (connect, check):
        with pytest.raises(WrongUsage, match="not in UTF8: create one WITH ENCODING 'UTF8'"):
            ask(postgres.url("ascii"))


def test_a_user_who_may_not_create_the_tables_is_told_what_to_grant(postgres: Postgres) -> None:
    with pytest.raises(StopRun, match="permission denied for database postgres; GRANT CREATE"):
        connect(postgres.url("postgres"))
    with pytest.raises(StopRun, match="KOL_SHARED_URL can't create what a run needs; GRANT CREATE, TEMPORARY"):
        check(postgres.url("postgres"))
    check(postgres.url())


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("postgresql://kol:{}@127.0.0.1:1/kol", "can't be used"),
        ("postgresql://kol:{}@x@127.0.0.1/kol", "write @"),
        ("postgresql://kol:{}/x@127.0.0.1/kol", "write @"),
        ("postgresql://kol:{}?x@127.0.0.1/kol", "write @"),
        ("postgresql://kol:{}@127.0.0.1:port/kol", "can't be read"),
        ("postgresql://kol:{}%zz@127.0.0.1/kol", "can't be read"),
        ("postgresql://kol:{}@127.0.0.1/kol?schema=A-B", "the schema"),
        ("postgresql://kol:{}@127.0.0.1/kol?{}=1", r"options of libpq such as \?sslmode"),
        ("postgresql://kol@127.0.0.1/kol?password={}", "it is postgresql://user:password@host"),
        ("postgresql://kol@127.0.0.1/kol?sslpassword={}", "it is postgresql://user:password@host"),
        ("host=127.0.0.1 dbname=kol user=kol password={}", "it is postgresql://user:password@host"),
    ],
)
def test_no_error_has_the_password(wrong: str, told: str) -> None:
    with pytest.raises((StopRun, WrongUsage), match=told) as caught:
        connect(wrong.replace("{}", "geheim"))
    assert "geheim" not in str(caught.value)
    assert "KOL_SHARED_URL" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_password_is_told_without_it(postgres: Postgres) -> None:
    with pytest.raises(LedgerAway, match='password authentication failed for user "kol"'):
        connect(postgres.url().replace("s3cr3t", "wrong"))
