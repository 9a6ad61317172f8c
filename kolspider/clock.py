"""Which moments can be believed: one in the future was written while a clock was wrong."""

from __future__ import annotations

import time

__all__ = ["latest"]

_LEEWAY = 60
"""Seconds by which clocks may differ, and by which one may be set back."""


def latest() -> float:
    """Return the latest moment that can be believed now, in unix seconds."""
    return time.time() + _LEEWAY
