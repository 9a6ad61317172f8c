"""Numbers in sentences."""

from __future__ import annotations

__all__ = ["counted", "duration", "rough"]


def counted(number: int, what: str) -> str:
    """`1 page`, `1,200 pages`"""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """`1.7 s`, `4 min 12 s`, `1 h 20 min`"""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def rough(seconds: float) -> str:
    """A duration that nobody knows exactly."""
    if seconds < 45:
        return f"{max(round(seconds / 5) * 5, 5)} s"
    minutes = max(round(seconds / 60), 1)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{round(seconds / 86400):,} days"
    if hours >= 10:
        return f"{round(seconds / 3600)} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
