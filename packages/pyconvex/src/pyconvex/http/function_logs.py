"""What ran lately, for those who watch: `npx convex logs`, dashboards, MCP tools.

Owns the endpoint and the JSON form of executions. Never keeps one. One invariant: a cursor that was
given out is never behind what was told with it, so who follows is told everything once.
"""

from __future__ import annotations

from typing import Any

from pyconvex.http.caller import Callers
from pyconvex.http.exchange import Request, RequestError, Response, json
from pyconvex.identity import AuthenticationError
from pyconvex.runlog import LogLine, RunRecord
from pyconvex.runlog.recent import RecentRuns

#: How long a request is held while nothing happens, in seconds (Convex holds a minute).
HOLD_S = 60.0
#: Clients that read lines with level and time apart; others get them as function results do.
_STRUCTURED = ("npm-cli", "dashboard")

_UDF_TYPES = {
    "query": "Query",
    "mutation": "Mutation",
    "action": "Action",
    "http_action": "HttpAction",
}
_CALLERS = {
    "action": "Action",
    "cron": "Cron",
    "httpApi": "HttpApi",
    "httpEndpoint": "HttpEndpoint",
    "scheduler": "Scheduler",
    "tester": "Tester",
}
_IDENTITIES = {"admin": "instance_admin", "user": "user"}


class FunctionLogRoutes:
    """Tells administrators of executions."""

    def __init__(self, callers: Callers, recent: RecentRuns, *, hold_s: float = HOLD_S) -> None:
        self._callers = callers
        self._recent = recent
        self._hold_s = hold_s

    async def stream(self, request: Request) -> Response:
        """`GET /api/stream_function_logs?cursor=`: what came after, as soon as there is any.

        The first request, with cursor 0, is answered at once: with what is still known.
        """
        await self._admit(request)
        cursor = _cursor_of(request)
        if cursor:
            await self._recent.wait(cursor, self._hold_s)
        client = request.header(b"convex-client") or ""
        structured = client.startswith(_STRUCTURED)
        entries = [
            execution(record, structured=structured) for record in self._recent.after(cursor)
        ]
        return json({"entries": entries, "newCursor": self._recent.cursor})

    async def _admit(self, request: Request) -> None:
        """Administrators only; refused with 403, at which the official CLI doesn't try again."""
        try:
            await self._callers.admin(request)
        except (AuthenticationError, RequestError) as error:
            raise RequestError(403, error.code, error.message) from None


def execution(record: RunRecord, *, structured: bool) -> dict[str, Any]:
    """One execution as these clients read it; seconds throughout."""
    lines = [_line(line) if structured else line.as_client() for line in record.report.lines]
    common = {
        "udfType": _UDF_TYPES.get(record.kind, record.kind),
        "componentPath": record.component or None,
        "identifier": record.path,
        "timestamp": record.ts_ms / 1000,
        "logLines": lines,
        "requestId": record.request_id,
        "executionId": record.execution_id,
    }
    if record.going_on:
        return {"kind": "Progress", **common}
    usage = record.report.usage
    return {
        "kind": "Completion",
        **common,
        "cachedResult": record.cached,
        "caller": _CALLERS.get(record.reason, "SyncWorker"),
        "runReason": record.reason,
        "parentExecutionId": record.parent or None,
        "executionTime": usage.wall_ms / 1000,
        "userExecutionTime": usage.cpu_ms / 1000,
        "success": None if record.failed else {"status": _status(record)},
        "error": record.error or None,
        "usageStats": {
            **_NOT_USED_HERE,
            "databaseReadBytes": usage.bytes_read,
            "databaseWriteBytes": usage.bytes_written,
            "databaseIoReadBytes": usage.bytes_read,
            "databaseIoWriteBytes": usage.bytes_written,
            "databaseReadDocuments": usage.documents_read,
            "databaseWriteDocuments": usage.documents_written,
        },
        "returnBytes": None if record.failed else record.result_bytes,
        "occInfo": _conflict(record),
        "willRetry": record.will_retry,
        "executionTimestamp": record.began_ms / 1000,
        "identityType": _IDENTITIES.get(record.identity, "unknown"),
        "environment": "isolate",
    }


def _status(record: RunRecord) -> str | None:
    return str(record.status) if record.status else None


def _line(line: LogLine) -> dict[str, Any]:
    return {
        "messages": [line.shown()],
        "level": line.level,
        "timestamp": int(line.ts_ms),
        "isTruncated": line.truncated,
        "udfPath": line.path or None,
        "componentPath": line.component or None,
        "systemMetadata": {"code": line.code} if line.code else None,
    }


def _conflict(record: RunRecord) -> dict[str, Any] | None:
    occ = record.occ
    if occ is None:
        return None
    return {
        "tableName": occ.table or None,
        "documentId": occ.document_id or None,
        "writeSource": occ.write_source or None,
        "componentPath": occ.component or None,
        "retryCount": occ.retry_count,
    }


def _cursor_of(request: Request) -> float:
    try:
        return float(request.query.get("cursor", "0"))
    except ValueError:
        raise RequestError(400, "BadCursor", "The parameter `cursor` must be a number.") from None


#: What this host doesn't have, and clients expect to read.
_NOT_USED_HERE = dict.fromkeys(
    (
        "databaseWriteIndexRows",
        "storageReadBytes",
        "storageWriteBytes",
        "vectorIndexReadBytes",
        "vectorIndexWriteBytes",
        "textIndexQueryBytes",
        "textIndexWriteQueryBytes",
        "vectorIndexReadQueryBytes",
        "vectorIndexWriteQueryBytes",
        "networkEgressBytes",
        "memoryUsedMb",
    ),
    0,
)
