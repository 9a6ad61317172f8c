"""What a profile promises: it is the mean number of follows behind a difference, and a reading only where it pays."""

from __future__ import annotations

from math import exp, factorial

import pytest

from kolspider.store.promise import Pastime, new_follows


def counted(rose: int, follows: float, unfollows: float) -> float:
    """The mean number of follows behind a difference, by the probability of each."""

    def likely(number: int) -> float:
        other = number - rose
        if other < 0:
            return 0.0
        return (
            exp(-follows) * follows**number / factorial(number) * exp(-unfollows) * unfollows**other / factorial(other)
        )

    weights = [likely(number) for number in range(80)]
    return sum(number * weight for number, weight in enumerate(weights)) / sum(weights)


@pytest.mark.parametrize("rose", [-3, -1, 0, 1, 2, 7])
@pytest.mark.parametrize("a_day", [3.0, 6.0, 12.0])
def test_a_busy_kol_is_expected_to_follow_as_chance_says(rose: int, a_day: float) -> None:
    past = Pastime(new=round(a_day * 35), days=30.0)  # damped by five days
    assert new_follows(rose, 1.0, past) == pytest.approx(counted(rose, a_day, a_day * 0.35), rel=1e-6)


@pytest.mark.parametrize(("new", "days"), [(0, 0.0), (3, 1.0), (100, 6.0)])
def test_in_its_first_week_a_kol_is_read_when_its_number_moved_and_only_then(new: int, days: float) -> None:
    past = Pastime(new, days)
    assert new_follows(0, 3.0, past) == 0
    assert new_follows(-1, 1.0, past) > 0
    assert new_follows(2, 1.0, past) >= 2


def test_a_quiet_kol_that_unfollows_is_not_read_and_one_that_follows_always_is() -> None:
    quiet = Pastime(new=1, days=30.0)
    assert new_follows(-1, 1.0, quiet) == new_follows(0, 1.0, quiet) == 0
    assert new_follows(1, 1.0, quiet) >= 1


def test_no_number_is_too_large() -> None:
    assert new_follows(-1_000_000, 1.0, Pastime(5_000_000, 30.0)) >= 0
    many = [new_follows(0, days, Pastime(5_000, 30.0)) for days in (1.1, 1.2, 3_650.0)]
    assert many == sorted(many)
    assert many[1] == pytest.approx(many[0] * 1.2 / 1.1, rel=0.01), "no step where the sum gives way to its limit"
    assert new_follows(5, 0.0, Pastime(0, 0.0)) == 5
