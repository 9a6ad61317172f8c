"""Every counter becomes a stat of Scrapy's."""

from __future__ import annotations

from collections import Counter

from kolspider.live.tally import STATS, Tally


def test_every_counter_has_a_stat_of_its_own_and_a_meaning() -> None:
    assert list(STATS) == list(Tally.__struct_fields__)
    assert len({stat for stat, _ in STATS.values()}) == len(STATS)
    assert all(stat.startswith("kol/") and meaning for stat, meaning in STATS.values())


def test_a_counter_by_kind_is_a_stat_for_each_kind() -> None:
    for name in STATS:
        is_counter = isinstance(getattr(Tally(), name), Counter)
        assert is_counter == STATS[name][0].endswith(">"), name


def test_what_was_not_counted_is_no_stat() -> None:
    tally = Tally(calls=3)
    tally.errors["network"] += 2
    assert dict(tally.stats()) == {"kol/api/calls": 3, "kol/api/errors/network": 2}
