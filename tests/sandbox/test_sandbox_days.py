"""Days in the sandbox: the same in every run, as many follows as they promise, and told as they are in the lists."""

from collections import Counter
from statistics import mean, median

import pytest

from kolspider.sandbox import Day, Happened, Sandbox, kols_of_all_lengths

DAYS = 30


def month(seed: int = 0, kols: int = 400) -> tuple[Sandbox, list[Day]]:
    sandbox = Sandbox(kols_of_all_lengths(kols))
    return sandbox, [sandbox.let_a_day_pass(seed) for _ in range(DAYS)]


def all_of(days: list[Day], what: str) -> list[Happened]:
    return [event for day in days for event in day.happened if event.what == what]


def test_lists_are_as_long_as_those_of_real_kols():
    lengths = sorted(kols_of_all_lengths().values())
    assert len(lengths) == 400
    assert mean(lengths) == pytest.approx(1900, rel=0.02)
    assert median(lengths) == pytest.approx(772, rel=0.02)
    assert lengths[360] == pytest.approx(6000, rel=0.05)


def test_a_month_has_the_promised_number_of_changes_spread_unevenly():
    _, days = month()
    followed = all_of(days, "followed")
    assert len(followed) == pytest.approx(400 * DAYS, rel=0.05)
    assert len(all_of(days, "unfollowed")) == pytest.approx(0.35 * len(followed), rel=0.1)
    by_kol = sorted(Counter(event.id for event in followed).values(), reverse=True)
    assert sum(by_kol[:40]) > len(followed) / 3  # the busiest tenth
    assert len(by_kol) < 400  # some follow nobody in a month
    for what in ("renamed", "protected", "suspended", "restored"):
        assert all_of(days, what), what
    assert [day.number for day in days] == list(range(1, DAYS + 1))


def test_days_are_the_same_for_a_seed_and_others_for_another():
    assert month(5, kols=30)[1] == month(5, kols=30)[1] != month(6, kols=30)[1]


def test_what_is_told_is_what_the_lists_and_profiles_show(get):
    with Sandbox({f"kol_{nth}": 40 for nth in range(200)}) as sandbox:
        for _ in range(DAYS):
            handles = {sandbox.id_of(kol): kol for kol in sandbox.kols}
            before = {id_: sandbox.expected_ids(kol) for id_, kol in handles.items()}
            day = sandbox.let_a_day_pass(seed=2)
            for event in day.all("renamed"):
                assert handles[event.id] == event.kol
                handles[event.id] = event.other
            for id_, kol in handles.items():
                new = [event.other for event in day.all("followed") if event.id == id_]
                gone = {event.other for event in day.all("unfollowed") if event.id == id_}
                after = sandbox.expected_ids(kol)
                assert after == [*reversed(new), *(one for one in before[id_] if one not in gone)]
                assert gone <= {*before[id_]}
            for event in day.all("suspended"):
                assert get(sandbox, event.kol).json["msg"] == "user not found"
            for event in day.all("protected"):
                assert get(sandbox, event.kol).json["followings"] == []


def test_a_kol_that_is_not_there_for_all_does_nothing_until_it_is_back():
    _, days = month()
    away: set[str] = set()
    for day in days:
        for event in day.happened:
            if event.what == "restored":
                away.remove(event.id)
            else:
                assert event.id not in away
            if event.what in {"protected", "suspended"}:
                away.add(event.id)
