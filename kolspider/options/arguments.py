"""The spider's arguments (`-a name=value`): typed, checked and documented in this one place."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from enum import StrEnum
from math import ceil, floor, inf
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from kolspider.clock import latest
from kolspider.errors import WrongUsage
from kolspider.items import Mode, State
from kolspider.options.secrets import fits_a_header
from kolspider.store.handles import HandleError, normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kolspider.items import Kol

__all__ = [
    "HELP",
    "Arguments",
    "Cutoff",
    "Feed",
    "Replay",
    "age",
    "handle_of",
    "listed_kols",
    "replaced",
    "typed_moment",
    "without",
]

_BOOLS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_RETRIABLE = (State.PARTIAL, State.NOT_FOUND, State.FAILED)


class Replay(StrEnum):
    """Which cached pages a replay loads."""

    PENDING = "pending"
    """Those that are not in the target yet."""
    ALL = "all"


class Feed(StrEnum):
    """What the lines of a feed (`-o users.csv`) are."""

    ACCOUNTS = "accounts"
    """Accounts, each once."""
    FOLLOWS = "follows"
    """Follows: an account for each KOL that follows it, with the KOL in front."""


class Cutoff(Struct, frozen=True):
    """A moment in unix seconds, or an age from which a moment follows once a run begins: both to the millisecond."""

    age: int | None = None
    at: float | None = None

    def moment(self, now: float) -> float:
        """Return the moment, for a run that begins now: 1970 if it is earlier, which is before every list, too."""
        return max(self.at if self.at is not None else ceil(now * 1000) / 1000 - (self.age or 0), 0.0)

    def of_job(self) -> int | str:
        """Return it as a job's file has it."""
        return self.age if self.age is not None else typed_moment(self.moment(0))


def typed_moment(at: float) -> str:
    """Return a moment in the form of an argument, `2026-11-26T07:10:00` or with milliseconds, UTC."""
    milliseconds = round(at * 1000)
    text = datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{milliseconds % 1000:03d}" if milliseconds % 1000 else text


def _decoded(raw: str) -> str:
    """Return `raw` without the blanks around it. Bytes that are not UTF-8 arrive as lone surrogates."""
    if not raw.isascii() and any("\ud800" <= char <= "\udfff" for char in raw):
        raise ValueError("is not UTF-8")
    return raw.strip()


def _flag(raw: str) -> bool:
    if raw.lower() not in _BOOLS:
        raise ValueError("is neither 1 nor 0")
    return _BOOLS[raw.lower()]


def _week(raw: str) -> int:
    if raw.lower() in _BOOLS:
        return int(_BOOLS[raw.lower()])
    if not re.fullmatch(r"[0-9]{1,3}", raw):
        raise ValueError("is neither 1 nor 0, nor a week such as 2")
    return int(raw)


def _count(least: int) -> Callable[[str], int]:
    def count(raw: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", raw) or int(raw) < least:
            raise ValueError(f"is not a whole number from {least} up")
        return int(raw)

    return count


def _dollars(raw: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", raw):
        raise ValueError("is not a sum in dollars such as 2.50")
    return float(raw)


def age(raw: str) -> int:
    """Return the seconds of an age such as `30d`. Raises ValueError."""
    match = re.fullmatch(r"([0-9]{1,9})([smhdw])", raw)
    if not match:
        raise ValueError("is not an age such as 30d (units: s, m, h, d, w)")
    return int(match[1]) * _SECONDS[match[2]]


def _cutoff(raw: str) -> Cutoff:
    if not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}T.*", raw):
        try:
            return Cutoff(age=age(raw))
        except ValueError as error:
            raise ValueError(f"{error}, nor a moment in UTC such as 2026-11-26T07:10:00") from None
    try:
        whole, _, fraction = raw.removesuffix("Z").partition(".")
        at = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp()
        if fraction and not re.fullmatch("[0-9]{1,3}", fraction):
            raise ValueError
        at += float(f"0.{fraction or 0}")
    except ValueError:
        raise ValueError("is not a moment in UTC such as 2026-11-26T07:10:00") from None
    if at > latest():
        raise ValueError("is in the future, so every list would be read in every run")
    return Cutoff(at=at)


def _states(raw: str) -> frozenset[State]:
    names = [name.strip() for name in raw.split(",") if name.strip()]
    if not names or not set(names) <= set(_RETRIABLE):
        raise ValueError(f"is not a list of {', '.join(_RETRIABLE)}")
    return frozenset(State(name) for name in names)


def listed_kols(raw: str) -> tuple[Kol, ...]:
    """Return the KOLs of a list such as `BTC,@ethereum`, each once. Raises ValueError."""
    kols: dict[str, Kol] = {}
    for name in filter(str.strip, raw.split(",")):
        try:
            kol = normalise(name)
        except ValueError:
            kol = None
        if kol is None:
            raise ValueError(f"names {name.strip()!r}, which is not a Twitter handle")
        kols.setdefault(kol.handle, kol)
    if not kols:
        raise ValueError("names no KOL")
    return tuple(kols.values())


def handle_of(name: str) -> str:
    """Return the handle of a KOL named on the command line. Raises WrongUsage."""
    try:
        kol = normalise(name)
    except HandleError:
        kol = None
    if kol is None:
        raise WrongUsage(f"{name!r} is not a Twitter handle such as BTC")
    return kol.handle


def _replay(raw: str) -> Replay:
    if raw not in set(Replay):
        raise ValueError("is neither all nor pending")
    return Replay(raw)


def _feed(raw: str) -> Feed:
    if raw not in set(Feed):
        raise ValueError("is neither accounts nor follows")
    return Feed(raw)


def _key(raw: str) -> str:
    if not raw or not fits_a_header(raw):
        raise ValueError("is not a key that an HTTP header can carry")
    return raw


def _argument(parse: Callable[[str], Any], default: Any, example: str, meaning: str, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"parse": parse, "example": example, "meaning": meaning})


@dataclass(frozen=True, slots=True)
class Arguments:
    """What the `-a` arguments ask a run to do."""

    limit: int | None = _argument(
        _count(1), None, "limit=50", "at most 50 KOLs: first those already begun, then new ones, then failed ones"
    )
    kols: tuple[Kol, ...] = _argument(
        listed_kols, (), "kols=BTC,ethereum", "these KOLs, whether in the source table or not"
    )
    max_calls: int | None = _argument(
        _count(0), None, "max_calls=500", "never more than 500 API requests in this run, retries included"
    )
    max_usd: float | None = _argument(
        _dollars, None, "max_usd=2.50", "make no call that could bring this run above $2.50, by the price list"
    )
    refresh: Cutoff | None = _argument(
        _cutoff,
        None,
        "refresh=30d",
        "also read again the lists finished longer ago than that (s, m, h, d, w), or before a moment in UTC "
        "(2026-11-26T07:10:00)",
    )
    incremental: bool = _argument(
        _flag,
        False,
        "incremental=1",
        "with refresh: read a list only as far as it has new accounts (about 1 call, not 10)",
    )
    watch: Cutoff | None = _argument(
        _cutoff,
        None,
        "watch=1d",
        "look at the profiles of the KOLs not looked at for that long, 1 credit each, and read the lists with news",
    )
    full_every: int | None = _argument(
        age,
        None,
        "full_every=30d",
        "with incremental or watch: read a list to its end if that was last done longer ago",
    )
    retry: frozenset[State] = _argument(
        _states, frozenset(), "retry=partial,not_found", "also KOLs that ended in these states (also: failed)"
    )
    why: Cutoff | None = _argument(
        _cutoff,
        None,
        "why=7d",
        "read no list, but ask why the follows lost since then are gone: 1 credit an account in calls of 100",
    )
    replay: Replay | None = _argument(
        _replay, None, "replay=pending", "load cached pages not in the target yet, no API call (all: every page)"
    )
    fresh: bool = _argument(
        _flag, False, "fresh=1", "buy although the cache is new beside a table with rows, or the provider is another"
    )
    feed: Feed = _argument(
        _feed, Feed.ACCOUNTS, "feed=follows", "with -o FILE: a line for each follow, with its KOL, not for each account"
    )
    dry_run: bool = _argument(
        _flag, False, "dry_run=1", "real API calls, no database write; the pages are cached and not bought again"
    )
    estimate: bool = _argument(
        _flag, False, "estimate=1", "show what the same command would cost: no API call, no write, no key"
    )
    test: bool = _argument(
        _flag, False, "test=1", "no API call, no write: check settings, database, tables, mapping, first 3 KOLs"
    )
    sandbox: int = _argument(
        _week,
        0,
        "sandbox=1",
        "run against the built-in sandbox API, apart from all real data (2: as it is a week later)",
    )
    api_key: str = _argument(
        _key,
        "",
        "api_key=...",
        "works, but shows in `ps` and shell history; KOL_API_KEY in `.env` is better",
        secret=True,
    )

    @classmethod
    def parse(cls, raw: Mapping[str, str], *, ignore_missing: bool = False) -> Arguments:
        """Check the `-a` values; `ignore_missing` is the setting HTTPCACHE_IGNORE_MISSING, which means `replay=all`.

        Raises WrongUsage for an unknown argument, a bad value, or two arguments that contradict each other.
        """
        known = {known.name: known for known in fields(cls)}
        values: dict[str, Any] = {}
        for name, value in raw.items():
            if name not in known:
                near = get_close_matches(name.lower(), known, 1)
                hint = f"did you mean {near[0]}? The arguments" if near else "the arguments"
                raise WrongUsage(f"unknown argument -a {name}=...; {hint} are {', '.join(known)}")
            try:
                values[name] = known[name].metadata["parse"](_decoded(value))
            except ValueError as error:
                shown = "" if name == "api_key" else value
                raise WrongUsage(f"-a {name}={shown} {error} (example: -a {known[name].metadata['example']})") from None
        arguments = cls(**values)
        if ignore_missing and not arguments.replay:
            arguments = replace(arguments, replay=Replay.ALL)
        _check_contradictions(arguments)
        return arguments

    @property
    def needs_no_key(self) -> bool:
        """Whether the run makes no API call."""
        return bool(self.replay) or self.test or self.estimate

    def max_credits(self, credit_usd: float) -> float:
        """Return how many credits of this price max_usd allows; infinite without it."""
        if self.max_usd is None or not credit_usd:
            return inf
        return floor(self.max_usd / credit_usd + 1e-6)  # 2.5 / 1e-5 is a little less than 250,000

    @property
    def mode(self) -> Mode:
        """Which kind of run it is, for the history."""
        return Mode.REPLAY if self.replay else Mode.DRY_RUN if self.dry_run else Mode.BUY

    def of_job(self) -> dict[str, Any]:
        """Return what each run of a named job must repeat: all but what is a run's own: key, cap, feed, fresh."""
        return {
            "limit": self.limit,
            "kols": [kol.handle for kol in self.kols],
            "refresh": self.refresh.of_job() if self.refresh else None,
            **({"incremental": True, "full_every": self.full_every} if self.incremental else {}),
            **({"watch": self.watch.of_job(), "full_every": self.full_every} if self.watch else {}),
            **({"why": self.why.of_job()} if self.why else {}),
            "retry": sorted(self.retry),
            "replay": self.replay or "",
            "dry_run": self.dry_run,
            "sandbox": self.sandbox,
        }


_OF_A_PURCHASE = {
    "refresh",
    "incremental",
    "watch",
    "full_every",
    "retry",
    "max_calls",
    "max_usd",
    "dry_run",
    "estimate",
    "why",
}
_WITH_WHY = {"why", "kols", "max_calls", "max_usd", "estimate", "sandbox", "fresh", "api_key"}


def _check_contradictions(arguments: Arguments) -> None:
    given = {known.name for known in fields(arguments) if getattr(arguments, known.name) != known.default}
    if arguments.test and (others := given - {"test", "limit"}):
        raise WrongUsage(f"-a test=1 goes with limit alone, not with {', '.join(sorted(others))}")
    if arguments.replay and (others := given & _OF_A_PURCHASE):
        raise WrongUsage(f"a replay makes no API call, so it does not go with {', '.join(sorted(others))}")
    if arguments.why and (others := given - _WITH_WHY):
        raise WrongUsage(f"-a why reads no list, so it does not go with {', '.join(sorted(others))}")
    if arguments.watch and (others := given & {"refresh", "incremental"}):
        raise WrongUsage(f"-a watch is a refresh of what changed, so it does not go with {', '.join(sorted(others))}")
    if arguments.incremental and arguments.refresh is None:
        raise WrongUsage("-a incremental=1 needs -a refresh=AGE, the age from which a list is read again (refresh=7d)")
    if arguments.full_every is not None and not (arguments.incremental or arguments.watch):
        raise WrongUsage(
            "-a full_every needs -a incremental=1 or -a watch=1d: without them, every refresh reads the whole list"
        )


HELP: str = "\n".join(
    f"  -a {known.metadata['example']:<24} {known.metadata['meaning']}" for known in fields(Arguments)
)
"""One line an argument, for `scrapy crawl -h`."""


def without(command: Sequence[str], names: Iterable[str]) -> list[str]:
    """Return a typed command, `scrapy crawl followings -a NAME=VALUE ...`, without some of its arguments."""
    starts = tuple(f"{name}=" for name in names)
    pairs = zip(command[3::2], command[4::2], strict=False)
    return [*command[:3], *(word for pair in pairs if not pair[1].startswith(starts) for word in pair)]


def replaced(command: Sequence[str], name: str, value: str) -> list[str]:
    """Return a typed command with another value of one of its arguments, if it has that argument."""
    start = f"{name}="
    return [start + value if word.startswith(start) else word for word in command]
