"""Numbers and times are short, and never claim more than is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kolspider.console.wording import dollars, duration, moment, percent, rough, short, size

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("write", "numbers", "texts"),
    [
        (short, (0, 0.5, 999, 12_345, 999_999, 2_410_000, 2**63), "0|0.5|999|12.3 k|1 M|2.41 M|9,223,372 tn"),
        (dollars, (0, 0.00001, 0.0042, 12.3, 1234.5), "$0.00|under $0.0001|$0.0042|$12.30|$1,234"),
        (size, (0, 999, 15_300, 2_400_000, 12e9), "0 B|999 B|15.3 KB|2.4 MB|12.00 GB"),
        (duration, (1.72, 42.4, 59.97, 250, 4805, 300_000), "1.7 s|42 s|1 min 0 s|4 min 10 s|1 h 20 min|3 d 11 h"),
        (rough, (0.2, 41, 46, 100, 4800, 3600), "5 s|40 s|1 min|2 min|1 h 20 min|1 h 0 min"),
        (rough, (35_990, 86_400, 200_000, 40_000_000), "10 h|24 h|2 days|463 days"),
        (moment, (None, 1_795_000_000.9999997), "-|2026-11-18 11:06:40"),
    ],
)
def test_numbers_and_times(write: Callable[[float | None], str], numbers: tuple[float | None, ...], texts: str) -> None:
    assert [write(number) for number in numbers] == texts.split("|")


def test_a_share_is_all_only_when_nothing_is_missing() -> None:
    shares = [percent(part, 10_000) for part in (0, 1, 5_000, 9_999, 10_000)]
    assert shares == ["0 %", "under 0.1 %", "50.0 %", "over 99.9 %", "100 %"]
