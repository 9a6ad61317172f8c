"""The session variables that each version of Doris knows; others are refused, as Doris does.

From qe/SessionVariable.java: enable_unique_key_partial_update since 2.0, group_commit since 2.1,
partial_update_new_key_behavior since 3.1, enable_insert_value_auto_cast in the last releases of each branch
(apache/doris#55325, #55423, #55427). `version` is MySQL's that Doris claims to be.
"""

from __future__ import annotations

from typing import Any

from tests.doris_double.errors import refuse

__all__ = ["SessionVariables"]

BOOLEANS = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
MYSQL_VERSION = "5.7.99"

_KNOWN: dict[str, Any] = {
    "autocommit": True,
    "character_set_client": "utf8mb4",
    "character_set_connection": "utf8mb4",
    "character_set_results": "utf8mb4",
    "character_set_server": "utf8mb4",
    "character_set_database": "utf8mb4",
    "collation_connection": "utf8mb4_0900_bin",
    "collation_database": "utf8mb4_0900_bin",
    "collation_server": "utf8mb4_0900_bin",
    "enable_insert_strict": True,
    "enable_unique_key_partial_update": False,
    "external_user": "",  # mysql-mimic's own
    "insert_timeout": 14400,
    "insert_visible_timeout_ms": 60000,
    "query_timeout": 900,
    "sql_mode": "ONLY_FULL_GROUP_BY",
    "version": MYSQL_VERSION,
}
_SINCE: dict[tuple[int, ...], dict[str, Any]] = {
    (2, 1): {"group_commit": "off_mode"},
    (3, 1): {"partial_update_new_key_behavior": "APPEND"},
}
_AUTO_CAST_SINCE: dict[tuple[int, ...], tuple[int, ...]] = {(2, 1): (2, 1, 12), (3, 0): (3, 0, 8), (3, 1): (3, 1, 1)}
_CHOICES = {
    "group_commit": {"off_mode", "sync_mode", "async_mode"},
    "partial_update_new_key_behavior": {"APPEND", "ERROR"},
}


class SessionVariables:
    """The variables of one session; its get and set are also mysql-mimic's interface to them."""

    def __init__(self, version: tuple[int, ...]) -> None:
        self._values = dict(_KNOWN)
        for since, variables in _SINCE.items():
            if version >= since:
                self._values |= variables
        if version >= _AUTO_CAST_SINCE.get(version[:2], version):
            self._values["enable_insert_value_auto_cast"] = True

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[name.lower()]
        except KeyError:
            refuse(f"Unknown system variable '{name}'", 1193)

    def get(self, name: str) -> Any:
        return self[name]

    @property
    def truncates(self) -> bool:
        """Whether an INSERT of VALUES cuts texts to the length of their columns (BindSink.java).

        The first releases of 4.0 and 4.1 never do: until apache/doris#63794 enable_insert_strict makes casts strict.
        """
        return bool(self._values.get("enable_insert_value_auto_cast", True))

    def items(self) -> list[tuple[str, Any]]:
        return sorted((name, value) for name, value in self._values.items() if name != "external_user")

    def set(self, name: str, value: Any, force: bool = False) -> None:
        name = name.lower()
        now = self[name]
        choices = _CHOICES.get(name)
        try:
            if choices:
                new: Any = str(value).lower() if name == "group_commit" else str(value).upper()
                if new not in choices:
                    raise ValueError(new)
            elif isinstance(now, bool):
                new = BOOLEANS[str(value).lower()]
            else:
                new = type(now)(value)
        except (KeyError, ValueError):
            refuse(f"Variable '{name}' can't be set to the value of '{value}'", 1231)
        self._values[name] = new
