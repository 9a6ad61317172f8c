"""The rules in alerts.toml, read and checked: each fault is one line that names the rule and says what is right."""

from __future__ import annotations

import re
import tomllib
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from kolspider.alerts.alert import NOT_KNOWN, Event
from kolspider.console.wording import counted
from kolspider.errors import StopRun, WrongUsage
from kolspider.options.arguments import age
from kolspider.options.config import PROJECT_DIR
from kolspider.store.handles import HandleError, normalise
from kolspider.store.lost import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from kolspider.alerts.alert import Account
    from kolspider.options.config import Config

__all__ = ["Rule", "alert_warnings", "read_rules", "rules_file", "rules_of"]

_DEFAULT = "alerts.toml"
_LONGEST_NAME = 60
_LONGEST_AGE = 100 * 365 * 86_400
"""Seconds, back from which every moment is a date."""


class Rule(Struct, frozen=True):
    """What is told, and of whom."""

    name: str
    event: Event
    min: int = 0
    """shared_follow: at least so many KOLs."""
    within: int = 0
    """shared_follow: seconds in which they began to follow the account."""
    kols: frozenset[str] = frozenset()
    """Handles in lower case; empty: all KOLs."""
    followers: tuple[int, int] | None = None
    """The least and the greatest number of followers."""
    account_age: int | None = None
    """The greatest age of the account when it was seen, in seconds."""
    bio: re.Pattern[str] | None = None
    never: frozenset[str] = frozenset()
    """Handles in lower case, and ids, of accounts that are never told."""
    why: frozenset[Reason] = frozenset()
    """lost_follow: the reasons that are told; empty: all, and none is asked for."""

    def of_keys(self, renamed: Mapping[str, str]) -> Rule:
        """Return the rule with KOLs by the handles that tables have; `renamed` has these by those of today."""
        return replace(self, kols=frozenset(renamed.get(kol, kol) for kol in self.kols))

    def is_about(self, kol: str) -> bool:
        """Tell whether follows of this KOL count."""
        return not self.kols or kol in self.kols

    def wants(self, account: Account, seen: str) -> bool:
        """Tell whether an account that was seen at this moment (UTC, as text) is told.

        What the table does not know of the account meets no condition.
        """
        if account.id in self.never or (account.user_name or "").lower() in self.never:
            return False
        if self.followers:
            least, most = self.followers
            if account.followers is None or not least <= account.followers <= most:
                return False
        if self.account_age is not None:
            oldest = str(datetime.fromisoformat(seen) - timedelta(seconds=self.account_age))
            if account.created_at is None or account.created_at < oldest:
                return False
        return self.bio is None or self.bio.search(account.description or "") is not None

    def wants_reason(self, why: str) -> bool:
        """Tell whether a lost follow is told that is gone for this reason; one that is not known is."""
        return why in self.why or why == NOT_KNOWN


def rules_file(config: Config) -> Path:
    """Return where the rules are."""
    return config.alerts_file or PROJECT_DIR / _DEFAULT


def rules_of(config: Config) -> list[Rule]:
    """Return the rules; none if there is no file and KOL_ALERTS_FILE names none. Raises UserError."""
    rules, faults = read_rules(config)
    if faults:
        others = f" (and {len(faults) - 1} more: `scrapy alerts check` lists all)" if len(faults) > 1 else ""
        raise WrongUsage(faults[0] + others)
    return rules


def alert_warnings(rules: Collection[Rule], config: Config) -> Iterator[str]:
    """Yield why the alerts of these rules are not raised, or not sent."""
    of_follows = [rule for rule in rules if rule.event.is_of_follows]
    if of_follows and not config.follows_table:
        yield (
            f"without KOL_FOLLOWS_TABLE nothing is told by {counted(len(of_follows), 'rule')} of "
            f"{rules_file(config).name}: "
            "`scrapy initdb --follows` creates the table, then set KOL_FOLLOWS_TABLE=twitter_kol_follows"
        )
    asking = counted(sum(bool(rule.why) for rule in of_follows), "rule")
    if any(rule.why for rule in of_follows) and config.provider.profiles_by_id is None:
        yield f"{config.provider.name} tells no profiles by id, so {asking} with why can't say why follows are gone"
    if rules and not config.notify:
        yield "KOL_NOTIFY is not set: alerts are kept, and sent once it is"


def read_rules(config: Config) -> tuple[list[Rule], list[str]]:
    """Return the rules that are right, and what is wrong with the others. Raises UserError."""
    path = rules_file(config)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        if config.alerts_file:
            raise WrongUsage(f"KOL_ALERTS_FILE {path} does not exist") from None
        return [], []
    except UnicodeDecodeError:
        raise WrongUsage(f"{path} is not UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise StopRun(f"{path} can't be read: {error.strerror}") from None
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return [], [f"{path.name}: {error}"]
    return _read(content, path.name)


def _read(content: dict[str, Any], file: str) -> tuple[list[Rule], list[str]]:
    faults = [f"{file}: {_unknown(key, ['rule'])}; each rule begins with [[rule]]" for key in content if key != "rule"]
    tables = content.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        return [], [*faults, f"{file}: rule is no list of tables; begin each rule with [[rule]]"]
    rules: list[Rule] = []
    for number, table in enumerate(tables, 1):
        name = table.get("name")
        place = f'{file}: rule "{name}"' if isinstance(name, str) and name else f"{file}: rule {number}"
        values, wrong = _values(table)
        wrong += _missing(table) if not wrong else []
        if values.get("name") in {rule.name for rule in rules}:
            wrong.append("an earlier rule has the same name; each needs a name of its own")
        faults += [f"{place}: {fault}" for fault in wrong]
        if not wrong:
            rules.append(Rule(**values))
    return rules, faults


def _values(table: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    wrong = []
    for key, value in table.items():
        if key not in _KEYS:
            wrong.append(_unknown(key, list(_KEYS)))
            continue
        try:
            values[key] = _KEYS[key](value)
        except ValueError as error:
            wrong.append(f"{key} = {_shown(value)} {error}")
    return values, wrong


def _missing(table: dict[str, Any]) -> list[str]:
    """Name the keys that a rule with this event needs, and those that have no meaning for it."""
    if lacking := [key for key in ("name", "event") if key not in table]:
        return [f"{key} is missing" for key in lacking]
    event = Event(table["event"])
    of_shared = ("min", "within")
    if "why" in table and event is not Event.LOST_FOLLOW:
        return ["why is for lost_follow only"]
    if event is Event.SHARED_FOLLOW:
        return [f"{key} is missing: shared_follow needs min and within" for key in of_shared if key not in table]
    without = of_shared if event.is_of_follows else (*of_shared, "followers", "account_age", "bio", "never")
    why = "shared_follow only" if event.is_of_follows else "rules about follows, not about KOLs"
    return [f"{key} is for {why if key not in of_shared else 'shared_follow only'}" for key in without if key in table]


def _unknown(key: str, known: list[str]) -> str:
    (nearest,) = get_close_matches(key, known, 1, 0)
    return f"unknown key {key}; did you mean {nearest}?"


def _shown(value: object) -> str:
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value).replace("'", '"')
    return text if len(text) <= 40 else f"{text[:37]}..."


def _name(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > _LONGEST_NAME:
        raise ValueError(f"is not a text of 1 to {_LONGEST_NAME} characters")
    return value.strip()


def _event(value: object) -> Event:
    if not isinstance(value, str) or value not in set(Event):
        nearest = get_close_matches(str(value), list(Event), 1, 0)[0]
        raise ValueError(f"is not one of {', '.join(Event)}; did you mean {nearest}?")
    return Event(value)


def _least(value: object) -> int:
    if type(value) is not int or not 2 <= value <= 10_000:
        raise ValueError("is not a whole number from 2 up")
    return value


def _age(value: object) -> int:
    if isinstance(value, str):
        return min(age(value), _LONGEST_AGE)
    raise ValueError('is not an age in quotes such as "48h" (units: s, m, h, d, w)')


def _range(value: object) -> tuple[int, int]:
    if isinstance(value, list) and len(value) == 2 and all(type(end) is int for end in value):
        least, most = value
        if 0 <= least <= most:
            return least, most
    raise ValueError("is not a list of two whole numbers, from and to, such as [0, 50000]")


def _bio(value: object) -> re.Pattern[str]:
    try:
        if isinstance(value, str) and value:
            return re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    raise ValueError('is not a regular expression in quotes such as "(?i)defi|rollup"')


def _kols(value: object) -> frozenset[str]:
    return frozenset(map(_handle, _texts(value)))


def _accounts(value: object) -> frozenset[str]:
    return frozenset(text if text.isdigit() else _handle(text) for text in _texts(value))


def _reasons(value: object) -> frozenset[Reason]:
    if not isinstance(value, list) or not value or not set(map(str, value)) <= set(Reason):
        raise ValueError(f'is not a list of some of {", ".join(Reason)}, such as ["unfollowed"]')
    return frozenset(map(Reason, value))


def _texts(value: object) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
        raise ValueError('is not a list of handles such as ["BTC", "ethereum"]')
    return value


def _handle(text: str) -> str:
    try:
        if kol := normalise(text):
            return kol.handle
    except HandleError:
        pass
    raise ValueError(f"has {_shown(text)}, which is no Twitter handle such as BTC")


_KEYS: dict[str, Callable[[object], Any]] = {
    "name": _name,
    "event": _event,
    "min": _least,
    "within": _age,
    "kols": _kols,
    "followers": _range,
    "account_age": _age,
    "bio": _bio,
    "never": _accounts,
    "why": _reasons,
}
