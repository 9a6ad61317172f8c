"""Answers come as the database gives them, however many rows they have."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from kolspider.db.follow_tables import SPAN_CRAWLS, SPAN_FOLLOWS
from kolspider.follows.answers import Sources, answer
from kolspider.follows.question import Question
from tests.db.conftest import Subject, mysql, sqlite, subject

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import pytest

__all__ = ["mysql", "sqlite", "subject"]

THEN = "2026-11-01 08:00:00"
OPTIONS = {"since": None, "kol": None, "min": None, "new_in": None, "limit": None}
FLAGS = {"json": False, "csv": True, "raw": False, "bom": False, "all": True, "lost": True, "why": False}


def test_edges_are_asked_for_a_few_kols_at_a_time(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """So neither this process nor the database ever holds all of them, and no query outlasts a run's patience."""
    kols = [f"kol_{number:02}" for number in range(50)]
    subject.db.create_tables("s", "t", "f")
    subject.db.widen("f", SPAN_FOLLOWS, [(kol, id_, THEN, THEN) for kol in kols for id_ in "123"])
    subject.db.widen("f_crawls", SPAN_CRAWLS, [(kol, THEN, THEN) for kol in kols])
    asked, taken, before = [], 0, subject.db.stream

    def stream(sql: str, values: Sequence[object] = ()) -> Generator[tuple[Any, ...], None, None]:
        asked.append(taken)
        yield from before(sql, values)

    monkeypatch.setattr(subject.db, "stream", stream)
    question = Question.of(["edges"], argparse.Namespace(**OPTIONS, **FLAGS))

    rows = []
    for row in answer(question, Sources(subject.db, "f", "t", None, lambda _: set())):
        rows.append(row[:2])
        taken += 1

    assert rows == [(kol, id_) for kol in kols for id_ in "123"]
    assert asked == [0, 60, 120]
