"""Which calls are answered with which fault.

A plan maps a handle, or "*" for all KOLs together, to steps. The first step that applies to a call decides its
answer; the KOL's own steps come before those of "*". Where no step applies, the answer is a normal one.

    {"BTC": ["server_error", "", "reset"],           # 1st call, 2nd (a normal answer), 3rd; then normal
     "ethereum": Fault("not_found", times=None),     # always
     "X": [Fault("bad_cursor", page=3), "cut_off"],  # once on page 3, and once on any other page
     "*": [Fault("no_credit", after=50, times=None),                  # from the 51st call on
           RandomFaults(0.2, {"reset": 1, "rate_limit": 3}, seed=7)]} # 20% of the calls before that

Calls for lists are meant, unless a step names another kind of call. Those that name several accounts or none are
under "*" only:

    {"BTC": Fault("server_error", kind="profile"), "*": Fault("timeout", kind="balance", times=None)}
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import get_args

from kolspider.sandbox.calls import Kind

__all__ = ["FAULT_NAMES", "NORMAL", "Fault", "FaultPlan", "Faults", "RandomFaults", "Step", "read_faults"]

# The answer is an error instead of a list.
_ERRORS = """
not_found error_in_200 code_not_0 bad_request bad_request_list bad_request_page bad_cursor bad_key forbidden blocked
no_credit wrong_path no_such_user moved not_modified rate_limit rate_limit_bare rate_limit_date rate_limit_reset
plan_used_up server_error bad_gateway unavailable unavailable_for not_json
"""
# The answer comes late, in part or not at all.
_BROKEN_CONNECTIONS = "timeout reset cut_off truncated_json slow"
# The list is wrong in one point.
_SPOILED_LISTS = """
no_followings followings_null followings_object no_cursor empty_cursor zero_cursor zero_pipe_cursor same_cursor
loop endless empty_pages empty_list cut_short no_has_next_page
"""
_SPOILED = frozenset(_SPOILED_LISTS.split())
FAULT_NAMES = _SPOILED | frozenset(f"{_ERRORS} {_BROKEN_CONNECTIONS}".split())
"""The names that a Fault may have; answers.py says what each of them sends."""

_SECONDS = {
    "timeout": 60.0,
    "rate_limit": 1.0,
    "rate_limit_date": 2.0,
    "rate_limit_reset": 2.0,
    "plan_used_up": 86_400.0,
    "unavailable_for": 1.0,
    "slow": 1.0,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault and the calls it applies to; the name "" is a normal answer."""

    name: str
    times: int | None = 1
    """How often it occurs; None: always."""
    page: int | None = None
    """It occurs only on this page of a list, 1 for the first; None: on any."""
    after: int = 0
    """The number of calls that it leaves alone first."""
    every: int = 1
    """After those, it occurs on every call (1), every second call (2), and so on."""
    seconds: float | None = None
    """How long `slow` and `timeout` take, and how long others tell the client to wait; None: as is usual for it."""
    kind: Kind = "followings"
    """It occurs only on calls of this kind."""

    def __post_init__(self) -> None:
        if self.name and self.name not in FAULT_NAMES:
            raise ValueError(f"unknown fault {self.name!r}; there are: {', '.join(sorted(FAULT_NAMES))}")
        if self.every < 1:
            raise ValueError(f"fault {self.name!r}: every={self.every} must be 1 or more")
        if self.kind not in get_args(Kind):
            raise ValueError(f"fault {self.name!r}: kind={self.kind!r} must be one of {', '.join(get_args(Kind))}")
        if self.name in _SPOILED and self.kind != "followings":
            raise ValueError(f"fault {self.name!r} is one of lists, and a call of kind {self.kind!r} has none")

    @property
    def wait(self) -> float:
        """Seconds that the fault takes, or asks the client to wait."""
        return _SECONDS.get(self.name, 0.0) if self.seconds is None else self.seconds


NORMAL = Fault("")


@dataclass(frozen=True, slots=True)
class RandomFaults:
    """Faults on a random share of the calls. The order in which KOLs are read does not change a KOL's faults."""

    share: float
    """The share of calls that get a fault, 0 to 1."""
    weights: Mapping[str, float]
    """How likely each fault is, by its name."""
    seed: int = 0
    seconds: float | None = None
    kind: Kind = "followings"

    def __post_init__(self) -> None:
        for name in self.weights:
            Fault(name, kind=self.kind)

    def roll(self, handle: str, nth: int) -> Fault | None:
        """The fault of a KOL's nth call, or None; the same in every run."""
        dice = hashlib.blake2b(f"{self.seed}|{handle}|{nth}".encode("utf-8", "replace"), digest_size=16).digest()
        whether, which = (int.from_bytes(part) / 2**64 for part in (dice[:8], dice[8:]))
        if whether >= self.share:
            return None
        sums = list(accumulate(self.weights.values()))
        for name, upto in zip(self.weights, sums, strict=True):
            if which * sums[-1] < upto:
                return Fault(name, seconds=self.seconds, kind=self.kind)
        return None


Step = str | Fault | RandomFaults
Faults = Mapping[str, Step | Sequence[Step]]


class _Rule:
    def __init__(self, step: str | Fault) -> None:
        self._fault = Fault(step) if isinstance(step, str) else step
        self._seen = 0
        self._used = 0

    def take(self, kind: Kind, _handle: str, page: int) -> Fault | None:
        fault = self._fault
        if fault.kind != kind or fault.page not in {None, page} or self._used == fault.times:
            return None
        self._seen += 1
        if self._seen <= fault.after or (self._seen - fault.after) % fault.every:
            return None
        self._used += 1
        return fault


class _Dice:
    def __init__(self, faults: RandomFaults) -> None:
        self._faults = faults
        self._calls: Counter[str] = Counter()

    def take(self, kind: Kind, handle: str, _page: int) -> Fault | None:
        if kind != self._faults.kind:
            return None
        self._calls[handle] += 1
        return self._faults.roll(handle, self._calls[handle])


class FaultPlan:
    """The faults of a sandbox, and how often each has occurred. For one thread only."""

    def __init__(self, faults: Faults) -> None:
        self._rules = {handle.lower(): _rules(steps) for handle, steps in faults.items()}

    def draw(self, kind: Kind, handle: str, page: int) -> Fault:
        """Take the fault for a call and count it as used."""
        handle = handle.lower()
        for rule in self._rules.get(handle, []) + self._rules.get("*", []):
            fault = rule.take(kind, handle, page)
            if fault is not None:
                return fault
        return NORMAL


def _rules(steps: Step | Sequence[Step]) -> list[_Rule | _Dice]:
    listed = [steps] if isinstance(steps, (str, Fault, RandomFaults)) else steps
    return [_Dice(step) if isinstance(step, RandomFaults) else _Rule(step) for step in listed]


def read_faults(text: str) -> dict[str, list[Step]]:
    """Read faults from JSON: `{"BTC": ["reset", {"name": "loop", "page": 2, "times": null}]}`.

    An object is a Fault, or RandomFaults if it has a `share`.
    """
    loaded = json.loads(text)
    if not isinstance(loaded, dict):
        raise ValueError("faults must be an object of handle to steps")  # noqa: TRY004 - the text is wrong, not a type
    return {
        handle: [_read_step(step) for step in (steps if isinstance(steps, list) else [steps])]
        for handle, steps in loaded.items()
    }


def _read_step(step: object) -> Step:
    if isinstance(step, str):
        return Fault(step)
    if not isinstance(step, dict):
        raise ValueError(f"a step is a fault's name or an object, not {step!r}")  # noqa: TRY004 - as above
    try:
        return RandomFaults(**step) if "share" in step else Fault(**step)
    except TypeError as error:
        raise ValueError(f"step {step!r}: {error}") from None
