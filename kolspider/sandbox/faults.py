"""Which call meets which fault.

A plan maps a handle, or "*" for all KOLs together, to steps. For each call the first step that applies is the
answer, the KOL's own steps before those of "*"; where none applies, the answer is a normal one.

    {"BTC": ["server_error", "", "reset"],           # 1st call, 2nd (a normal answer), 3rd; then normal
     "ethereum": Fault("not_found", times=None),     # always
     "X": [Fault("bad_cursor", page=3), "cut_off"],  # once on page 3, and the first call for another page
     "*": [Fault("no_credit", after=50, times=None),                  # from the 51st call of all on
           RandomFaults(0.2, {"reset": 1, "rate_limit": 3}, seed=7)]} # 20 % of the calls before that
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

__all__ = ["FAULT_NAMES", "NORMAL", "Fault", "FaultPlan", "Faults", "RandomFaults", "Step", "read_faults"]

ANSWERED_AS_ERROR = frozenset({
    "not_found", "error_in_200", "code_not_0", "bad_request", "bad_request_list", "bad_cursor", "bad_key",
    "forbidden", "no_credit", "wrong_path", "rate_limit", "rate_limit_bare", "rate_limit_date",
    "server_error", "bad_gateway", "unavailable", "not_json",
})  # fmt: skip
"""The whole answer is an error, whatever was asked."""

BROKEN_CONNECTION = frozenset({"timeout", "reset", "cut_off", "truncated_json", "slow"})
"""The answer comes late, in part or not at all."""

SPOILED_LIST = frozenset({
    "no_followings", "followings_null", "followings_object", "no_cursor", "empty_cursor", "zero_cursor",
    "zero_pipe_cursor", "same_cursor", "loop", "empty_pages", "no_has_next_page",
})  # fmt: skip
"""A list that is wrong in one thing."""

FAULT_NAMES = ANSWERED_AS_ERROR | BROKEN_CONNECTION | SPOILED_LIST

_SECONDS = {"timeout": 60.0, "rate_limit": 1.0, "rate_limit_date": 2.0, "slow": 1.0}


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault for the calls that it applies to; the name "" is a normal answer."""

    name: str
    times: int | None = 1
    """How often it strikes; None: always."""
    page: int | None = None
    """Only on this page of a list, 1 for the first."""
    after: int = 0
    """Lets so many calls that it would apply to pass first ..."""
    every: int = 1
    """... and then strikes at each so-many-th."""
    seconds: float | None = None
    """Of `rate_limit` (Retry-After), `slow` and `timeout`; None: 1, 1 and 60."""

    def __post_init__(self) -> None:
        if self.name and self.name not in FAULT_NAMES:
            raise ValueError(f"unknown fault {self.name!r}; there are: {', '.join(sorted(FAULT_NAMES))}")
        if self.every < 1:
            raise ValueError(f"fault {self.name!r}: every={self.every} must be 1 or more")

    @property
    def wait(self) -> float:
        """How long it takes or asks to wait."""
        return _SECONDS.get(self.name, 0.0) if self.seconds is None else self.seconds


NORMAL = Fault("")


@dataclass(frozen=True, slots=True)
class RandomFaults:
    """Faults for a share of all calls. Each KOL has dice of its own: the order among KOLs changes nothing."""

    share: float
    """0 to 1."""
    weights: Mapping[str, float]
    """Fault name to weight."""
    seed: int = 0
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in self.weights:
            Fault(name)

    def roll(self, handle: str, nth: int) -> Fault | None:
        """The fault for the nth call of a KOL, if any: always the same one."""
        dice = hashlib.blake2b(f"{self.seed}|{handle}|{nth}".encode("utf-8", "replace"), digest_size=16).digest()
        strikes, which = (int.from_bytes(part) / 2**64 for part in (dice[:8], dice[8:]))
        if strikes >= self.share:
            return None
        sums = list(accumulate(self.weights.values()))
        for name, upto in zip(self.weights, sums, strict=True):
            if which * sums[-1] < upto:
                return Fault(name, seconds=self.seconds)
        return None


Step = str | Fault | RandomFaults
Faults = Mapping[str, Step | Sequence[Step]]


class _Rule:
    def __init__(self, step: str | Fault) -> None:
        self._fault = Fault(step) if isinstance(step, str) else step
        self._seen = 0
        self._used = 0

    def take(self, _handle: str, page: int) -> Fault | None:
        fault = self._fault
        if fault.page not in {None, page} or self._used == fault.times:
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

    def take(self, handle: str, _page: int) -> Fault | None:
        self._calls[handle] += 1
        return self._faults.roll(handle, self._calls[handle])


class FaultPlan:
    """The faults of a sandbox, and how far they are used up. Asked by one thread."""

    def __init__(self, faults: Faults) -> None:
        self._rules = {handle.lower(): _rules(steps) for handle, steps in faults.items()}

    def draw(self, handle: str, page: int) -> Fault:
        """The fault for a call, and count it as used."""
        handle = handle.lower()
        for rule in self._rules.get(handle, []) + self._rules.get("*", []):
            fault = rule.take(handle, page)
            if fault is not None:
                return fault
        return NORMAL


def _rules(steps: Step | Sequence[Step]) -> list[_Rule | _Dice]:
    listed = [steps] if isinstance(steps, (str, Fault, RandomFaults)) else steps
    return [_Dice(step) if isinstance(step, RandomFaults) else _Rule(step) for step in listed]


def read_faults(text: str) -> dict[str, list[Step]]:
    """Faults from JSON, `{"BTC": ["reset", {"name": "loop", "page": 2, "times": null}]}`: objects are Faults,
    or RandomFaults when they have a `share`."""
    loaded = json.loads(text)
    if not isinstance(loaded, dict):
        raise ValueError("faults must be an object of handle to steps")  # noqa: TRY004 - of the text, not the type
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
