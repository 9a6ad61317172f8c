"""Stream Load at the BE, which loads; front_end.py has sent the client here.

Sources: be/src/http/action/stream_load.cpp and stream_load_context.cpp (the BE's answer), Doris's
documentation of Stream Load (status, labels, ErrorURL).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from tests.doris_double.errors import DorisError, Hangup
from tests.doris_double.faults import LATE, OF_LOAD, Fault
from tests.doris_double.http_server import (
    STREAM_LOAD_PATH,
    Request,
    credentials,
    read_head,
    reset,
    respond,
    respond_json,
)
from tests.doris_double.loads import NEW_KEYS_SINCE, Filtered, Load, Mode
from tests.doris_double.tokens import Name, Tokens

if TYPE_CHECKING:
    import asyncio

    from tests.doris_double.faults import Planned
    from tests.doris_double.state import State, User
    from tests.doris_double.tables import Table

__all__ = ["BackEnd"]

MISSING = object()


class BackEnd:
    """Takes the body and loads it; serves the error logs."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_head(reader, writer)
        if request is None:
            return
        target = STREAM_LOAD_PATH.fullmatch(request.path)
        try:
            if request.method == "GET" and request.path == "/api/_load_error_log":
                await self._error_log(request)
            elif target and request.method == "PUT":
                await self._stream_load(request, Name(unquote(target[1]), unquote(target[2])))
            else:
                await respond(request, 404, b"")
        except Hangup:
            reset(writer)
        except (ConnectionError, EOFError):
            pass  # the client is gone

    async def _error_log(self, request: Request) -> None:
        """One line a row: `Reason: … . src line [...]; `, as the BE's load_path_mgr writes them."""
        (file,) = parse_qs(request.query).get("file", [""])
        reasons = self._state.error_logs.get(file)
        if reasons is None:
            await respond(request, 404, b"")
            return
        text = "".join(f"Reason: {reason}. src line []; \n" for reason in reasons)
        await respond(request, 200, text.encode())

    async def _stream_load(self, request: Request, name: Name) -> None:
        # What is wrong with the head is answered before the body is asked for.
        label = request.headers.get("label", "")
        user = self._state.authenticated(credentials(request))
        if user is None:
            text = "[NOT_AUTHORIZED]no valid Basic authorization"
            if credentials(request):
                text = "[ANALYSIS_ERROR]TStatus: errCode = 2, detailMessage = Access denied for user"
            await respond_json(request, _answer(label, "Fail", text))
            return
        planned = self._state.faults.take(OF_LOAD)
        try:
            table = self._state.storage.find(name, None)
            self._check_head(request, user, table)
            known = self._state.loader.known(table, label)
            if known or (planned and planned.fault is Fault.LABEL_RUNNING):
                await respond_json(request, _label_exists(label, known, cloud=self._state.cloud))
                return
            if planned and planned.error:
                raise planned.error
        except DorisError as error:
            await respond_json(request, _answer(label, "Fail", _be_text(error)))
            return
        body = await request.body()
        await self._state.loading.wait()
        if planned and planned.fault is Fault.DROP_BEFORE:
            raise Hangup
        answer = self._load(request, table, body, planned)
        if planned and planned.fault is Fault.DROP_AFTER:
            raise Hangup
        await respond_json(request, answer)

    def _check_head(self, request: Request, user: User, table: Table) -> None:
        headers = request.headers
        if not user.may("LOAD", table.database, table.name):
            raise DorisError("errCode = 2, detailMessage = Access denied; LOAD privilege")
        if headers.get("format", "csv").lower() != "json":
            raise DorisError("the double takes `format: json` only")
        # Since 4.1 the table decides where the client does not say.
        group_commit = headers.get("group_commit") or table.properties.get("group_commit_mode", "off_mode")
        if headers.get("two_phase_commit", "false").lower() == "true" or group_commit != "off_mode":
            raise DorisError("the double has no two_phase_commit and no group_commit")
        if headers.get("strict_mode", "false").lower() != "true" or float(headers.get("max_filter_ratio", 0)):
            raise DorisError("the double takes strict loads only")
        if not headers.get("timeout", "600").isdigit():
            raise DorisError("Invalid timeout format")

    def _load(self, request: Request, table: Table, body: bytes, planned: Planned | None) -> dict[str, Any]:
        loader = self._state.loader
        label = request.headers.get("label", "")
        with self._state.storage.lock:
            try:
                columns = _columns(request, table)
                mode = self._mode(request, table, columns)
                records = _records(request, body)
            except DorisError as error:
                return _answer(label, "Fail", _be_text(error), LoadBytes=len(body))
            rows = [_row(record, columns) for record in records]
            timeout = int(request.headers.get("timeout", "600"))
            load = loader.begin(table, label, via="stream", mode=mode, rows=len(rows), size=len(body), timeout=timeout)
            if planned and planned.fault in LATE:
                self._state.later(load, planned, lambda: loader.write(load, table, columns, rows, mode))
                raise Hangup
            if planned and planned.fault is Fault.FAIL:
                load.filtered = ["column_name[id], the double was told to fail"] * max(len(rows), 1)
                return self._failed(load, len(rows))
            try:
                loader.write(load, table, columns, rows, mode)
            except Filtered:
                return self._failed(load, len(rows))
            except DorisError as error:
                return _answer(load.label, "Fail", _be_text(error), load, total=len(rows))
        if planned and planned.fault is Fault.COMMITTED:
            load.status = "COMMITTED"
            return _answer(load.label, "Publish Timeout", "[PUBLISH_TIMEOUT]", load, total=len(rows))
        return _answer(load.label, "Success", "OK", load, total=len(rows))

    def _mode(self, request: Request, table: Table, columns: list[str]) -> Mode:
        headers = request.headers
        if headers.get("partial_columns", "false").lower() != "true":
            return Mode()
        if not table.merge_on_write:
            raise DorisError("errCode = 2, detailMessage = Only unique key merge on write support partial update")
        if table.clustered_by:
            text = "Can't do partial update on merge-on-write Unique table with cluster keys"
            raise DorisError(f"errCode = 2, detailMessage = {text}")
        for key in table.keys:
            if key.lower() not in {name.lower() for name in columns}:
                raise DorisError(f"errCode = 2, detailMessage = Partial update should include all key columns: {key}")
        append = self._state.version >= NEW_KEYS_SINCE and (
            headers.get("partial_update_new_key_behavior", "APPEND").upper() == "APPEND"
        )
        return Mode(partial=True, append=append)

    def _failed(self, load: Load, total: int) -> dict[str, Any]:
        url = self._state.error_url(load)
        text = "[DATA_QUALITY_ERROR]too many filtered rows"
        answer = _answer(load.label, "Fail", text, load, total=total, ErrorURL=url)
        if self._state.version >= NEW_KEYS_SINCE:
            answer["FirstErrorMsg"] = load.filtered[0]
        return answer


def _columns(request: Request, table: Table) -> list[str]:
    """The header `columns`, parsed as SQL: a reserved word needs its back-quotes here too."""
    header = request.headers.get("columns")
    if not header:
        return [column.name for column in table.columns]
    tokens = Tokens(header)
    names = [tokens.identifier()]
    while tokens.accept(","):
        names.append(tokens.identifier())
    tokens.expect_end()
    return names


def _records(request: Request, body: bytes) -> list[dict[str, Any]]:
    """The objects in the body, one a line."""
    if request.headers.get("read_json_by_line", "false").lower() != "true":
        raise DorisError("the double takes `read_json_by_line: true` only")
    try:
        found = [json.loads(line) for line in body.splitlines() if line.strip()]
    except ValueError as error:
        raise DorisError(f"[DATA_QUALITY_ERROR]Parse json data failed: {error}") from None
    if not all(isinstance(record, dict) for record in found):
        raise DorisError("[DATA_QUALITY_ERROR]JSON data is not an object")
    return found


def _row(record: dict[str, Any], columns: list[str]) -> list[Any]:
    """Its values in the columns' order; what is absent is NULL, what belongs to no column is ignored."""
    lower: dict[str, Any] | None = None
    row = []
    for name in columns:
        value = record.get(name, MISSING)
        if value is MISSING:
            lower = lower or {key.lower(): value for key, value in record.items()}
            value = lower.get(name.lower())
        row.append(str(value).lower() if isinstance(value, bool) else value)
    return row


def _answer(
    label: str, status: str, message: str, load: Load | None = None, *, total: int = 0, **more: Any
) -> dict[str, Any]:
    """What the BE answers, with HTTP 200 whatever the status."""
    filtered = len(load.filtered) if load else 0
    size = load.bytes if load else 0
    return {
        "TxnId": load.txn_id if load else -1,
        "Label": label,
        "Comment": "",
        "TwoPhaseCommit": "false",
        "Status": status,
        "Message": message,
        "NumberTotalRows": total,
        "NumberLoadedRows": total - filtered,
        "NumberFilteredRows": filtered,
        "NumberUnselectedRows": 0,
        "LoadBytes": size,
        "LoadTimeMs": 1,
        "BeginTxnTimeMs": 0,
        "StreamLoadPutTimeMs": 0,
        "ReadDataTimeMs": 0,
        "WriteDataTimeMs": 0,
        "CommitAndPublishTimeMs": 0,
        **more,
    }


def _label_exists(label: str, known: Load | None, *, cloud: bool) -> dict[str, Any]:
    """ExistingJobStatus is FINISHED for what was committed, RUNNING for what is not over.

    In cloud mode it was missing at first (apache/doris#42700).
    """
    load = known or Load(label, 1, "", "", "stream", "plain", 0, 0, 0, "PREPARE")
    answer = _answer(
        label,
        "Label Already Exists",
        f"[LABEL_ALREADY_EXISTS]TStatus: errCode = 2, detailMessage = {load.taken(cloud=cloud)}",
    )
    job = "RUNNING" if load.status == "PREPARE" else "FINISHED"
    return answer if cloud else answer | {"ExistingJobStatus": job}


def _be_text(error: DorisError) -> str:
    """The FE's refusal as the BE passes it on."""
    return f"[ANALYSIS_ERROR]TStatus: {error.text}" if error.text.startswith("errCode") else error.text
