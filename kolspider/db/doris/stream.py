"""Doris by Stream Load: rows go over HTTP as JSON, everything else over the MySQL protocol."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from kolspider.db.doris.database import DorisDatabase, Load
from kolspider.db.doris.http import PUBLIC, StreamLoad, StreamLoadError, basic
from kolspider.items import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kolspider.db.base import DbErrorKind
    from kolspider.db.doris.http import Address
    from kolspider.db.mysql import Server

__all__ = ["StreamLoadDatabase"]

_encoder = msgspec.json.Encoder(enc_hook=str)


class StreamLoadDatabase(DorisDatabase):
    """A database in Doris that gets each batch as one load. By its label the BE tells the fate of a lost attempt."""

    errors = (*DorisDatabase.errors, StreamLoadError)

    def __init__(self, server: Server, front_end: Address, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        """headers: further ones of each load; by lower-case name."""
        super().__init__(server)
        # A shorter value is not searched for: it would hide the message, not the secret.
        hidden = [value for name, value in headers.items() if name not in PUBLIC and len(value) >= 4]
        self.secrets = (*self.secrets, basic(server.user, server.password).removeprefix("Basic "), *hidden)
        self._http = StreamLoad(front_end, server.user, server.password, headers)

    def try_write(self, table: str, columns: Sequence[str] = COLUMNS) -> None:
        super().try_write(table, columns)
        self._http.check(self._path(table))

    def error_kind(self, exc: BaseException) -> DbErrorKind:
        return exc.kind if isinstance(exc, StreamLoadError) else super().error_kind(exc)

    def _loads(
        self, table: str, rows: Sequence[tuple[Any, ...]], columns: Sequence[str], *, partial: bool
    ) -> Iterator[Load]:
        objects = [dict(zip(columns, row, strict=True)) for row in rows]
        yield Load(table, columns, partial, rows, _encoder.encode_lines(objects))

    def _send(self, load: Load) -> str:
        return f"{len(load.text):,} bytes, {self._http.load(self._path(load.table), _headers(load), load.text)}"

    def _path(self, table: str) -> str:
        schema, name = self._where(table)
        return f"/api/{quote(schema, safe='')}/{quote(name, safe='')}/_stream_load"


def _headers(load: Load) -> dict[str, str]:
    headers = {
        "label": load.label,
        "format": "json",
        "read_json_by_line": "true",
        "columns": ", ".join(f"`{name}`" for name in load.columns),  # parsed as SQL, where `following` is reserved
        "strict_mode": "true",
        "max_filter_ratio": "0",
        "timeout": "30",
        # Otherwise the table's property group_commit_mode decides (4.1), and a load in a group has neither a label of
        # its own nor an order (be/…/stream_load.cpp: _handle_group_commit).
        "group_commit": "off_mode",
    }
    if load.partial:
        # The second header is of 3.1; an older Doris ignores it, and is sent no new keys.
        headers |= {"partial_columns": "true", "partial_update_new_key_behavior": "APPEND"}
    return headers
