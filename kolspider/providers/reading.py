"""Reads provider files. Whatever is wrong with one is told in a line each, with the table and the key."""

from __future__ import annotations

import json
import re
import tomllib
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from kolspider.errors import Faults
from kolspider.providers.base import ApiErrorKind
from kolspider.providers.description import STATUSES, Description, Errors, Holdings, List, Lookup, Price, Sign
from kolspider.providers.user_fields import FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

__all__ = ["read_description"]

_TABLES = ("list", "profile", "profiles", "balance", "user", "errors", "price", "headers")
_TOP = ("name", "family", "like", "url", "delay", "allowed_rate", "sample", *_TABLES)
_OF_LIST = ("path", "parameters", "users", "cursor", "more", "ends", "page_size", "page_sizes")
_OF_READING = frozenset({"users", "cursor", "more", "ends"})
"""The keys of [list] that are about answers, not about requests."""
_OF_LOOKUP = ("path", "parameters", "body", "users", "most")
_OF_BALANCE = ("path", "credits", "usd")
_OF_USER = (*FIELDS, "protected", "unavailable", "unavailable_reason")
_OF_ERRORS = ("statuses", "bad_cursor", "texts", "words", "failed_if", "failed_unless")
_OF_PRICE = ("credit_usd", "failed_call", "page", "profile", "profiles")
_OF_A_PRICE = ("call", "least", "user", "asked")
_IN_LIST, _IN_LOOKUP = ("user_name", "id", "cursor", "size"), {"profile": "user_name", "profiles": "id"}
_TEXTS = ("detail", "msg", "message", "error")
_KINDS: dict[str, ApiErrorKind] = {
    str(kind): kind
    for kind in ApiErrorKind
    if kind not in {ApiErrorKind.BLOCKED, ApiErrorKind.REDIRECTED, ApiErrorKind.CONTRACT_DRIFT}
}
_NAME = re.compile(r"[a-z0-9_]{1,40}")
_URL = re.compile(r"https?://[\w.-]+(?::[0-9]+)?(?:/[^\s?#\\]*)?", re.ASCII)
_HEADER = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_MOST = 1_000_000


def read_description(path: Path, others: Callable[[str], str]) -> Description:
    """Read a provider file; `others` returns the text of the built-in file of a name. Raises Faults."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Faults([f"{path} can't be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}"]) from None
    reader = _Reader(str(path), path.parent)
    found = reader.description(text, others)
    if reader.faults or found is None:
        raise Faults(reader.faults)
    return found


class _Table:
    """A table of a file: each value is taken by its key, and what nobody takes is a fault."""

    def __init__(self, reader: _Reader, name: str, values: Mapping[str, Any], known: Collection[str]) -> None:
        self._reader, self._name, self._values = reader, name, values
        for key in values:
            if key not in known:
                near = get_close_matches(key, known, 1, 0)
                self.fault(key, f"there is no such key; did you mean {near[0]}?")

    def raw(self, key: str) -> object:
        """Return the value as it stands there; None if it does not."""
        return self._values.get(key)

    def fault(self, key: str, what: str) -> None:
        self._reader.fault(self._name, key, what)

    def text(self, key: str, default: str | None = None, like: str = "") -> str:
        """Return a text; it must be there unless there is a default."""
        value = self._values.get(key, default)
        if not isinstance(value, str) or (default is None and not value):
            self.fault(key, f"must be a text{f' such as {like}' if like else ''}")
            return ""
        return value

    def texts(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return a text, or a list of them, as a tuple."""
        value = self._values.get(key, default)
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list | tuple) or not all(isinstance(one, str) and one for one in found):
            self.fault(key, "must be a text or a list of texts")
            return default
        return tuple(found)

    def number(self, key: str, default: float | None, least: float = 0) -> float:
        """Return a number from `least` up."""
        value = self._values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= _MOST:
            self.fault(key, f"must be a number from {least:g} up")
            return least
        return value

    def whole(self, key: str, default: int | None, least: int = 0) -> int:
        """Return a whole number from `least` up."""
        value = self._values.get(key, default)
        if type(value) is not int or not least <= value <= _MOST:
            self.fault(key, f"must be a whole number from {least} up")
            return least
        return value

    def pairs(self, key: str) -> dict[str, Any]:
        """Return an inline table, such as `{ a = 1 }`; empty if it is not there."""
        value = self._values.get(key, {})
        if not isinstance(value, dict):
            self.fault(key, "must be a table such as { name = 1 }")
            return {}
        return value

    def templates(self, key: str, known: Collection[str]) -> dict[str, str]:
        """Return a table of texts with these placeholders. Numbers and flags become texts."""
        found = {}
        for name, value in self.pairs(key).items():
            shown = json.dumps(value) if isinstance(value, bool | int | float) else value
            if not isinstance(shown, str):
                self.fault(f"{key}.{name}", "must be a text, a number or a flag")
                continue
            self.check_placeholders(f"{key}.{name}", shown, known)
            found[name] = shown
        return found

    def check_placeholders(self, key: str, text: str, known: Collection[str]) -> None:
        for name in _PLACEHOLDER.findall(text):
            if name not in known:
                self.fault(key, f"{{{name}}} is no placeholder here; there are {_braced(known)}")


class _Reader:
    def __init__(self, path: str, folder: Path) -> None:
        self._path, self._folder = path, folder
        self.faults: list[str] = []

    def fault(self, table: str, key: str, what: str) -> None:
        where = f"[{table}] {key}" if table else key
        self.faults.append(f"{self._path}: {where}: {what}")

    def description(self, text: str, others: Callable[[str], str]) -> Description | None:
        """Return the description; None if the file is no TOML."""
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            self.faults.append(f"{self._path} is no TOML: {error}")
            return None
        try:
            values = _resolved(values, others)
        except KeyError as error:
            self.fault("", "like", f"there is no built-in provider {values.pop('like')!r}; there are {error.args[0]}")
        for name in _TABLES:
            if not isinstance(values.get(name, {}), dict):
                self.fault("", name, f"must be a table: write [{name}] on a line of its own")
                values[name] = {}
        top = _Table(self, "", values, _TOP)
        tables = {name: values.get(name, {}) for name in _TABLES}
        price = _Table(self, "price", tables["price"], _OF_PRICE)
        name = self._name(top, "name")
        lists = self._list(tables["list"], self._price(price, "page"))
        profile, profiles = (
            self._lookup(one, tables[one], self._price(price, one)) if one in values else None for one in _IN_LOOKUP
        )
        if lists.needs_id and profile is None:
            self.fault("profile", "path", "is missing: [list] asks by {id}, so an account's id must be looked up")
        url = top.text("url", like="https://api.example.com").rstrip("/")
        if url and not _URL.fullmatch(url):
            self.fault("", "url", f"{url} is not an address such as https://api.example.com")
        return Description(
            name=name,
            family=self._name(top, "family") if "family" in values else name,
            url=url,
            headers=self._headers(tables["headers"]),
            list=lists,
            profile=profile,
            profiles=profiles,
            balance=self._balance(tables["balance"]) if "balance" in values else None,
            user=self._user(tables["user"]),
            errors=self._errors(tables["errors"]),
            credit_usd=price.number("credit_usd", None),
            failed_call=price.whole("failed_call", 0),
            delay=top.number("delay", None),
            allowed_rate=top.text("allowed_rate", "what its price list says"),
            sample=self._sample(top),
        )

    def _name(self, top: _Table, key: str) -> str:
        name = top.text(key, like="my_api")
        if name and not _NAME.fullmatch(name):
            top.fault(key, f"{name!r} must be 1 to 40 small letters, digits and underscores")
        return name

    def _headers(self, values: Mapping[str, Any]) -> dict[str, str]:
        table = _Table(self, "headers", values, values)
        for name, value in values.items():
            if not _HEADER.fullmatch(name) or not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
                table.fault(name, "a header must be a name and a text that HTTP can carry")
            else:
                table.check_placeholders(name, value, ("key",))
        if not any("{key}" in str(value) for value in values.values()):
            table.fault("Authorization", 'no header has the key; write it as {key}, such as "Bearer {key}"')
        return {name: str(value) for name, value in values.items()}

    def _list(self, values: Mapping[str, Any], price: Price) -> List:
        table = _Table(self, "list", values, _OF_LIST)
        path, parameters = self._path_of(table, _IN_LIST), table.templates("parameters", _IN_LIST)
        said = " ".join((path, *parameters.values()))
        if "{user_name}" not in said and "{id}" not in said:
            table.fault("parameters", "no parameter says whose list it is: {user_name} or {id}")
        if "{cursor}" not in said:
            table.fault("parameters", "no parameter says which page it is: {cursor}")
        more, size = table.text("more", ""), table.whole("page_size", None, 1)
        sizes = values.get("page_sizes", [size, size])
        if not (isinstance(sizes, list) and len(sizes) == 2 and all(type(one) is int for one in sizes)) or not (
            0 < sizes[0] <= size <= sizes[1] <= _MOST
        ):
            table.fault("page_sizes", f"must be the least and the most, such as [20, 200], around page_size = {size}")
            sizes = [size, size]
        return List(
            path=path,
            parameters=parameters,
            users=table.text("users", like="followings"),
            price=price,
            cursor=table.text("cursor", like="next_cursor"),
            more=more,
            ends=self._ends(table, more),
            page_size=size,
            page_sizes=range(sizes[0], size + 1),  # nothing is gained by more than a full page
        )

    def _ends(self, table: _Table, more: str) -> frozenset[Sign]:
        signs = [str(sign) for sign in Sign]
        found = table.texts("ends")
        for one in found:
            if one not in signs:
                near = get_close_matches(one, signs, 1, 0)[0]
                table.fault("ends", f"{one!r} is no sign of an end; did you mean {near!r}?")
        if not found:
            table.fault("ends", f"must name what ends a list: {', '.join(signs)}")
        if (Sign.MORE_IS_FALSE in found) != bool(more):
            table.fault("more", f"a path to a flag goes with ends = [{str(Sign.MORE_IS_FALSE)!r}], and only with it")
        return frozenset(Sign(one) for one in found if one in signs)

    def _lookup(self, name: str, values: Mapping[str, Any], price: Price) -> Lookup:
        table, one = _Table(self, name, values, _OF_LOOKUP), _IN_LOOKUP[name]
        path, parameters = self._path_of(table, (one,)), table.templates("parameters", (one,))
        body = table.templates("body", (one,))
        if not any(f"{{{one}}}" in text for text in (path, *parameters.values(), *body.values())):
            table.fault("parameters", f"nothing says {{{one}}}")
        return Lookup(
            path=path,
            parameters=parameters,
            users=table.text("users", ""),
            price=price,
            body=body,
            most=table.whole("most", 1, 1),
        )

    def _balance(self, values: Mapping[str, Any]) -> Holdings:
        table = _Table(self, "balance", values, _OF_BALANCE)
        found = Holdings(self._path_of(table, ()), table.texts("credits"), table.texts("usd"))
        if bool(found.credits) == bool(found.usd):
            table.fault("credits", "must be the path to the credits that are left; or usd, the path to the dollars")
        return found

    def _path_of(self, table: _Table, known: Collection[str]) -> str:
        path = table.text("path", like="/user/followings")
        if path and not re.fullmatch(r"/[^?#\s]*", path, re.ASCII):
            table.fault("path", "must begin with a slash, and parameters go into parameters = { … }")
        table.check_placeholders("path", path, known)
        return path

    def _user(self, values: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        table = _Table(self, "user", values, _OF_USER)
        found = {key: table.texts(key) for key in values if key in _OF_USER}
        for field in ("id", "screen_name"):
            if not found.get(field):
                table.fault(field, "must be the path, or the paths, at which a user has it")
        if len(gone := found.get("unavailable", ("x",))) != 1 or "." in gone[0]:
            table.fault("unavailable", "must be one key of a user")
        return found

    def _errors(self, values: Mapping[str, Any]) -> Errors:
        table = _Table(self, "errors", values, _OF_ERRORS)
        statuses: dict[int, ApiErrorKind] = dict(STATUSES)
        for status, kind in self._kinds(table, "statuses").items():
            if re.fullmatch("[1-5][0-9][0-9]", status) and status != "200":
                statuses[int(status)] = kind
            else:
                table.fault("statuses", f"{status} is not the HTTP status of an error")
        bad_cursor = values.get("bad_cursor", [400, 422])
        if not isinstance(bad_cursor, list) or not all(type(status) is int for status in bad_cursor):
            table.fault("bad_cursor", "must be a list of HTTP statuses such as [400]")
            bad_cursor = []
        return Errors(
            statuses=statuses,
            bad_cursor=frozenset(bad_cursor),
            texts=table.texts("texts", _TEXTS),
            words=self._kinds(table, "words"),
            failed_if=self._values(table, "failed_if"),
            failed_unless=self._values(table, "failed_unless"),
        )

    def _values(self, table: _Table, key: str) -> dict[str, tuple[object, ...]]:
        found = {}
        for path, value in table.pairs(key).items():
            values = value if isinstance(value, list) else [value]
            if not all(isinstance(one, str | int | float) for one in values):
                table.fault(f"{key}.{path}", 'must be a value or a list of them; a path with dots needs quotes: "a.b"')
            found[path] = tuple(values)
        return found

    def _kinds(self, table: _Table, key: str) -> dict[str, ApiErrorKind]:
        found: dict[str, ApiErrorKind] = {}
        for name, kind in table.pairs(key).items():
            if isinstance(kind, str) and kind in _KINDS:
                found[name] = _KINDS[kind]
            else:
                near = get_close_matches(str(kind), _KINDS, 1, 0)[0]
                table.fault(f"{key}.{name}", f"{kind!r} is no kind of error; did you mean {near}?")
        return found

    def _price(self, table: _Table, key: str) -> Price:
        price = _Table(self, f"price.{key}", table.pairs(key), _OF_A_PRICE)
        return Price(
            price.whole("call", 0), price.whole("least", 0), self._tiers(price, "user"), self._tiers(price, "asked")
        )

    def _tiers(self, price: _Table, key: str) -> tuple[tuple[int, int], ...]:
        """Return what each user costs: a number, or by how many there are, such as `{ 1 = 3, 100 = 2 }`."""
        tiers = price.pairs(key) if isinstance(price.raw(key), dict) else {"1": price.whole(key, 0)}
        if not all(least.isdecimal() and type(each) is int and 0 <= each <= _MOST for least, each in tiers.items()):
            price.fault(key, "must be credits, or credits by the least number of users, such as { 1 = 3, 100 = 2 }")
            return ()
        return tuple(sorted((int(least), each) for least, each in tiers.items()))

    def _sample(self, top: _Table) -> bytes:
        sample = top.text("sample", "")
        if not sample or sample.lstrip().startswith("{"):
            body = sample.encode("utf-8", "surrogatepass")
        else:
            try:
                body = (self._folder / sample).read_bytes()
            except (OSError, ValueError) as error:
                top.fault("sample", f"{sample} can't be read: {getattr(error, 'strerror', error)}")
                return b""
        try:
            json.loads(body or b"{}")
        except (ValueError, RecursionError):
            top.fault("sample", "must be the JSON of an answer, or the name of a file that has one")
        return body


def _resolved(values: dict[str, Any], others: Callable[[str], str]) -> dict[str, Any]:
    """Return these values with those of the file that they are like. Raises KeyError if there is none."""
    if "like" not in values:
        return values
    base = _resolved(tomllib.loads(others(str(values["like"]))), others)
    return _on_top({key: value for key, value in values.items() if key != "like"}, base)


def _on_top(values: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with these values in place of its own: key by key within tables, but headers as a whole.

    An empty table takes that of `base` away. What reads answers in another way can't read the pages of its family.
    """
    lists = values.get("list")
    is_other = "user" in values or (isinstance(lists, dict) and not _OF_READING.isdisjoint(lists))
    family = values.get("name", "") if is_other else base.get("family", base["name"])
    merged = {**base, "family": family, **values}
    for name in _TABLES:
        if name != "headers" and isinstance(values.get(name), dict) and name in base:
            merged[name] = base[name] | values[name]
        if values.get(name) == {}:
            del merged[name]
    return merged


def _braced(names: Collection[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)
