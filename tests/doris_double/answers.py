"""What a statement is answered with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mysql_mimic.results import ResultColumn
from mysql_mimic.types import ColumnType

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Ok", "Rows", "texts"]


@dataclass(frozen=True, slots=True)
class Ok:
    """An answer without rows; info is what Doris puts into the OK packet."""

    affected: int = 0
    info: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """A result set."""

    columns: Sequence[ResultColumn]
    rows: Sequence[Sequence[Any]]


def texts(columns: list[str], rows: list[tuple[Any, ...]]) -> Rows:
    """A result set of strings, as SHOW gives."""
    return Rows([ResultColumn(name, ColumnType.STRING) for name in columns], rows)
