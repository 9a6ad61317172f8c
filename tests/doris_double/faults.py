"""Faults on demand: what the next statements or loads shall run into, in Doris's words.

The texts: -235 from be/src/olap/rowset_builder.cpp; the transaction limit from the FE's configuration manual
(max_running_txn_num_per_db); "blocked on schema change" from httpv2/rest/LoadAction.java; the others as they are
quoted in Doris's issues.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from tests.doris_double.errors import DorisError

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["LATE", "OF_INSERT", "OF_LOAD", "Fault", "Faults", "Planned"]


class Fault(StrEnum):
    """What may happen. The second block is for Stream Load alone."""

    TOO_MANY_VERSION = "too_many_version"
    TOO_MANY_SEGMENTS = "too_many_segments"
    TXN_LIMIT = "txn_limit"
    MEM_LIMIT = "mem_limit"
    NO_BACKEND = "no_backend"
    SCHEMA_CHANGE = "schema_change"
    TIMEOUT = "timeout"
    DROP_BEFORE = "drop_before"
    """Hangs up, nothing written."""
    DROP_AFTER = "drop_after"
    """Commits, then hangs up: the outcome is unknown to the client."""
    LATE = "late"
    """Hangs up at once; the load runs on, and is committed `seconds` later."""
    LATE_ABORT = "late_abort"
    """The same, but then it fails."""
    LEFT = "left"
    """The same, but nobody ends it: its label is taken, as in cloud mode for an hour after the FE died."""
    COMMITTED = "committed"
    """Committed and not yet visible: status COMMITTED; to a Stream Load, Publish Timeout."""

    FAIL = "fail"
    """Status Fail with ErrorURL, whatever the rows are."""
    LABEL_RUNNING = "label_running"
    """Label Already Exists, and its job is RUNNING."""
    BE_UNREACHABLE = "be_unreachable"
    """The FE redirects to a port where nobody listens."""


TEXTS = {
    Fault.TOO_MANY_VERSION: "(127.0.0.1)[E-235]failed to init rowset builder. version count: 2001, exceed limit: 2000, "
    "tablet: 10117. Please reduce the frequency of loading data or adjust the max_tablet_version_num in be.conf to a "
    "larger value.",
    Fault.TOO_MANY_SEGMENTS: "(127.0.0.1)[E-238]too many segments in rowset. tablet_id:10117, "
    "rowset_id:02000000000002d3, max:1000, _num_segment:1001",
    Fault.TXN_LIMIT: "begin transaction failed. errCode = 2, detailMessage = current running txns on db 10006 is 1000, "
    "larger than limit 1000",
    Fault.MEM_LIMIT: "(127.0.0.1)[MEM_LIMIT_EXCEEDED]PreCatch error code:11, [E11] Allocator sys memory check failed: "
    "Cannot alloc:4096, consuming tracker:<Load>",
    Fault.NO_BACKEND: "There is no scanNode Backend available.[10002: not alive]",
    Fault.SCHEMA_CHANGE: "insert table twitter_kol_all is blocked on schema change",
    Fault.TIMEOUT: "Execute timeout",
}
LATE = {Fault.LATE, Fault.LATE_ABORT, Fault.LEFT}
OF_INSERT = set(Fault) - {Fault.FAIL, Fault.LABEL_RUNNING, Fault.BE_UNREACHABLE}
"""The faults that an INSERT may run into."""
OF_LOAD = set(Fault) - {Fault.BE_UNREACHABLE}
"""Those that a Stream Load may run into at the BE."""


@dataclass(slots=True)
class Planned:
    """A fault that waits for its turn."""

    fault: Fault
    times: int
    after: int
    """So many hits are spared first."""
    seconds: float

    @property
    def error(self) -> DorisError | None:
        """What is answered instead of doing it; None: the fault is of another sort."""
        text = TEXTS.get(self.fault)
        return DorisError(f"errCode = 2, detailMessage = {text}") if text else None


class Faults:
    """The plan. Used by the test's thread and by the double's."""

    def __init__(self) -> None:
        self._planned: list[Planned] = []
        self._lock = threading.Lock()

    def plan(self, fault: Fault, *, times: int, after: int, seconds: float) -> None:
        with self._lock:
            self._planned.append(Planned(fault, times, after, seconds))

    def clear(self) -> None:
        with self._lock:
            self._planned.clear()

    @property
    def left(self) -> int:
        """How many hits are still to come."""
        with self._lock:
            return sum(planned.times for planned in self._planned)

    def take(self, among: Collection[Fault]) -> Planned | None:
        """The first of these faults that is planned, if any; it is used up."""
        with self._lock:
            for planned in self._planned:
                if planned.fault not in among:
                    continue
                if planned.after:
                    planned.after -= 1
                    return None
                planned.times -= 1
                if not planned.times:
                    self._planned.remove(planned)
                return planned
        return None
