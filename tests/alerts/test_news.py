"""When enough KOLs began to follow the same account within some time: told once, and again when it happens again."""

from __future__ import annotations

import random
from itertools import pairwise

from kolspider.alerts.alert import Account
from kolspider.alerts.news import Sighting, crossings
from kolspider.console.wording import moment

HOUR = 3600
BEGIN = 1_764_000_000


def sightings(*hours: float, account: str = "1") -> list[Sighting]:
    """A KOL of its own begins to follow the account at each of these hours."""
    moments = [moment(BEGIN + hour * HOUR) for hour in hours]
    return [
        Sighting(f"k{number}", at, at, Account(account, *(None,) * 5)) for number, at in enumerate(sorted(moments), 1)
    ]


def told(found: list[Sighting], least: int, within: float) -> list[tuple[float, list[str]]]:
    """Hour and KOLs of each crossing."""
    by_moment = {moment(BEGIN + hour / 4 * HOUR): hour / 4 for hour in range(4000)}
    return [(by_moment[at], kols) for at, kols, _ in crossings(found, least, int(within * HOUR))]


def test_an_account_is_told_when_the_count_is_reached() -> None:
    assert told(sightings(0, 1, 2), 3, 48) == [(2, ["k1", "k2", "k3"])]
    assert told(sightings(0, 1), 3, 48) == []


def test_the_window_slides_and_its_ends_count() -> None:
    assert told(sightings(0, 40, 80), 2, 40) == [(40, ["k1", "k2"])]
    assert told(sightings(0, 40.25, 80), 2, 40) == [(80, ["k2", "k3"])]
    assert told(sightings(0, 41, 82), 2, 40) == []


def test_further_kols_are_told_only_if_as_many_come_again() -> None:
    assert told(sightings(0, 1, 2, 3, 30, 48), 2, 48) == [(1, ["k1", "k2"])]
    assert told(sightings(0, 1, 60, 70), 2, 48) == [(1, ["k1", "k2"]), (70, ["k3", "k4"])]
    assert told(sightings(0, 1, 20, 60), 2, 48) == [(1, ["k1", "k2"]), (60, ["k3", "k4"])]


def test_kols_of_one_moment_are_told_together_and_accounts_apart() -> None:
    assert told(sightings(0, 0, 0, 0), 2, 1) == [(0, ["k1", "k2", "k3", "k4"])]
    both = sightings(0, account="1") + sightings(0, account="2")
    assert told(both, 2, 1) == []


def test_no_kol_is_told_twice_and_every_crossing_is_full() -> None:
    chance = random.Random(7)
    for _ in range(200):
        least, within = chance.randint(2, 4), chance.choice([1, 5, 24])
        found = sightings(*(chance.randrange(400) / 4 for _ in range(chance.randrange(40))))
        result = told(found, least, within)
        kols = [kol for _, kols in result for kol in kols]
        assert len(set(kols)) == len(kols)
        assert all(len(kols) >= least for _, kols in result)
        assert all(later - earlier > within for (earlier, _), (later, _) in pairwise(result))
