"""Numbers in sentences."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, what: str) -> str:
    """`1 page`, `1,200 pages`"""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
