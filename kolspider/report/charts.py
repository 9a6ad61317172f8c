"""What the templates of the plots can't work out themselves: the top of an axis and the labels under it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["bar_labels", "round_up"]


def round_up(number: float) -> float:
    """Round up to 1, 2, 3, 4, 5, 6, 8 or 10 times a power of ten, so that half of it is short to write, too."""
    if number <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(number))
    return float(next(step * power for step in (1, 2, 3, 4, 5, 6, 8, 10) if number <= step * power * 1.0001))


def bar_labels(names: Sequence[str]) -> list[tuple[float, str, str]]:
    """Position (in percent), anchor and text of the labels under bars: the first, the last, and some between.

    A phone has room for five labels, or three long ones.
    """
    last = len(names) - 1
    shown = min(len(names), 3 if max(map(len, names)) > 7 else 5)
    labels = []
    for place in sorted({round(n * last / max(shown - 1, 1)) for n in range(shown)}):
        x, anchor = 100 * (place + 0.5) / len(names), "middle"
        if last > 5 and place in {0, last}:
            x, anchor = (0.0, "start") if place == 0 else (100.0, "end")
        labels.append((x, anchor, names[place]))
    return labels
