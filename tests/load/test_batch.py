"""The rows that a batch of pages gives each table."""

from __future__ import annotations

from kolspider.items import Follow, FollowingsPage, Kol, MappedPage, Row, WholeReading
from kolspider.load.batch import Batch, size_of


def row(id_: str, name: str = "") -> Row:
    return Row(id_, name, None, None, None, None, None, None, None, None)


def page(number: int, *rows: Row, kol: str = "btc", **more: object) -> MappedPage:
    return MappedPage(FollowingsPage(Kol(kol, kol.upper()), number, "", [], last=False, seq=number), list(rows), **more)  # type: ignore[arg-type]


def batch_of(*pages: MappedPage) -> Batch:
    batch = Batch()
    for one in pages:
        batch.add(one, 100)
    return batch


def test_the_last_row_of_an_account_on_two_pages_counts() -> None:
    first, second = page(1, row("1", "old"), row("2")), page(2, row("1", "new"))
    batch = batch_of(first, second)
    assert batch.rows == [row("1", "new"), row("2")]
    assert dict(batch.seqs(batch.rows)) == {"1": 2, "2": 1}
    assert (batch.weight, batch.size) == (2, 200)


def test_a_row_of_nothing_but_an_id_replaces_no_other_row() -> None:
    bare = Row("1", *[None] * 9)
    assert batch_of(page(1, row("1", "name")), page(2, bare)).rows == [row("1", "name")]
    assert batch_of(page(1, bare), page(2, row("1", "name"))).rows == [row("1", "name")]
    assert batch_of(page(1, bare), page(2, bare)).rows == [bare]


def test_a_follow_on_two_pages_spans_both_moments() -> None:
    first = page(1, follows=[Follow("btc", "1", "2026-01-02", "2026-01-02")])
    second = page(2, follows=[Follow("btc", "1", "2026-01-01", "2026-01-03"), Follow("btc", "2", "2026-01-03", "x")])
    assert batch_of(first, second).follows() == [
        Follow("btc", "1", "2026-01-01", "2026-01-03"),
        Follow("btc", "2", "2026-01-03", "x"),
    ]


def test_two_full_readings_of_a_kol_span_both() -> None:
    first = page(9, whole=WholeReading("btc", "2026-01-02", "2026-01-01"))
    second = page(9, whole=WholeReading("btc", "2026-02-02", "2026-02-01"))
    other = page(1, kol="eth", whole=WholeReading("eth", "2026-03-02", "2026-03-01"))
    assert batch_of(first, page(1), second, other).whole_readings() == [
        WholeReading("btc", "2026-01-02", "2026-02-01"),
        WholeReading("eth", "2026-03-02", "2026-03-01"),
    ]


def test_follows_weigh_as_much_as_rows() -> None:
    follows = [Follow("btc", str(n), "x", "x") for n in range(5)]
    assert batch_of(page(1, row("1"), follows=follows), page(2, follows=follows)).weight == 10


def test_text_counts_in_bytes() -> None:
    assert size_of(page(1, row("1", "名字"))) == size_of(page(1, row("1", "abcdef")))
