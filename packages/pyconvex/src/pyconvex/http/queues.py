"""What operators ask about queues: how they fare, and what no receiver took.

Owns these endpoints, which are this project's own. Never reads a queue itself. One invariant: all
of them answer administrators only, because rows hold what users did.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from pyconvex.http.caller import Callers
from pyconvex.http.exchange import Request, RequestError, Response, json
from pyconvex.storage import END, Position

#: Ten thousand ids, as many as a queue keeps, are far less.
_MAX_BODY_BYTES = 1 << 20
_DEFAULT_ROWS = 100
_MOST_ROWS = 1000

Endpoint = Callable[[Request], Awaitable[Response]]


class QueueName(msgspec.Struct, frozen=True):
    """Which queue: its own name, and the path of the component that declares it."""

    queue: str
    component: str = ""

    def __str__(self) -> str:
        return f"{self.component}/{self.queue}"


class ChosenRows(msgspec.Struct, frozen=True):
    """Rows that were set aside: those with these ids, or all of them."""

    queue: str
    component: str = ""
    ids: list[str] = []
    all: bool = False

    @property
    def name(self) -> QueueName:
        return QueueName(self.queue, self.component)


class QueueOperations(Protocol):
    """Who knows the queues; what can't be raises `HostError`."""

    async def listed(self) -> list[dict[str, Any]]:
        """Every queue that the app declares, with how it fares."""

    async def set_aside_rows(self, name: QueueName, before: Position, limit: int) -> dict[str, Any]:
        """Rows before a position that no receiver took, newest first."""

    async def put_back(self, name: QueueName, chosen: list[Position] | None) -> dict[str, Any]:
        """Move rows, None means all, to the end of their queue."""

    async def discard(self, name: QueueName, chosen: list[Position] | None) -> dict[str, Any]:
        """Forget rows, None means all."""


class QueueRoutes:
    """Answers operators about queues."""

    def __init__(self, callers: Callers, operations: QueueOperations) -> None:
        self._callers = callers
        self._operations = operations

    def routes(self) -> dict[str, dict[str, Endpoint]]:
        """The endpoints by path and method."""
        return {
            "/api/pyconvex/queues": {"GET": self.list},
            "/api/pyconvex/queues/set_aside": {"GET": self.set_aside},
            "/api/pyconvex/queues/retry": {"POST": self.retry},
            "/api/pyconvex/queues/discard": {"POST": self.discard},
        }

    async def list(self, request: Request) -> Response:
        """`GET /api/pyconvex/queues`."""
        await self._callers.admin(request)
        return json({"queues": await self._operations.listed()})

    async def set_aside(self, request: Request) -> Response:
        """`GET /api/pyconvex/queues/set_aside`: parameters `queue`, `component`, `before`, `limit`;
        `before` is the id of the last row of the page before.
        """
        await self._callers.admin(request)
        asked = request.query
        if "queue" not in asked:
            raise RequestError(400, "BadQueue", "Name the queue in the parameter `queue`.")
        name = QueueName(asked["queue"], asked.get("component", ""))
        before = _position(asked["before"]) if "before" in asked else END
        limit = asked.get("limit", str(_DEFAULT_ROWS))
        if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit[:9]) <= _MOST_ROWS:
            raise RequestError(400, "BadLimit", f"`limit` is a number from 1 to {_MOST_ROWS}.")
        return json(await self._operations.set_aside_rows(name, before, int(limit)))

    async def retry(self, request: Request) -> Response:
        """`POST /api/pyconvex/queues/retry`: answered when the rows are in the queue for good."""
        await self._callers.admin(request)
        chosen = await _chosen(request)
        return json(await self._operations.put_back(chosen.name, _positions(chosen)))

    async def discard(self, request: Request) -> Response:
        """`POST /api/pyconvex/queues/discard`."""
        await self._callers.admin(request)
        chosen = await _chosen(request)
        return json(await self._operations.discard(chosen.name, _positions(chosen)))


async def _chosen(request: Request) -> ChosenRows:
    chosen = await request.json_body(ChosenRows, _MAX_BODY_BYTES, "a choice of rows")
    if bool(chosen.ids) == chosen.all:
        raise RequestError(400, "BadJsonBody", "Give either `ids` of rows or `all: true`.")
    return chosen


def _positions(chosen: ChosenRows) -> list[Position] | None:
    return None if chosen.all else [_position(id) for id in chosen.ids]


def row_id(position: Position) -> str:
    """What people call a row that was set aside.

    >>> row_id(Position(1700000000000000000, 2))
    '1700000000000000000-2'
    """
    return f"{position.ts}-{position.seq}"


def _position(id: str) -> Position:
    ts, _, seq = id.partition("-")
    if all(part.isascii() and part.isdigit() and len(part) <= 19 for part in (ts, seq)):
        position = Position(int(ts), int(seq))
        if max(position.ts, position.seq) <= END.ts:
            return position
    raise RequestError(400, "BadRowId", f"{id[:60]!r} is no id of a row that was set aside.")
