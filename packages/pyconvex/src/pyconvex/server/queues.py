"""What operators may do with queues: look at them, and at what no receiver took.

Owns the answers of `pyconvex.http.queues`. Never sends a row. One invariant: a row that was set
aside is in its queue again or set aside still, whenever the server ends.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol, TypeVar

import msgspec

from pyconvex.delivery.messages import LaneStatus
from pyconvex.http.queues import QueueName, row_id
from pyconvex.runtime.app.spec import AppSpec
from pyconvex.runtime.calls import HostError
from pyconvex.server.audit import AuditLog
from pyconvex.storage import Position, QueueStats, Reader, SetAsideRow, Store
from pyconvex.values import codec

#: Of one transaction, which every commit waits for.
ROWS_AT_ONCE = 1000
BYTES_AT_ONCE = 8 << 20
#: Of one answer; a row may be a megabyte.
PAGE_BYTES = 8 << 20
_ROWS_A_READ = 16

T = TypeVar("T")


class CommitTurns(Protocol):
    """The part of the host that a change of queues needs."""

    async def between_commits(self, work: Callable[[], int]) -> int:
        """Change the store in turn with commits; durable when this returns."""

    async def wait_durable(self, ts: int) -> None:
        """Return once everything up to `ts` survives a power cut."""


class DeploymentQueues:
    """The queues of the app in force (`pyconvex.http.queues.QueueOperations`).

    `number` is what storage calls a queue, None before its first row; `wake` tells lanes that there
    are rows to send.
    """

    def __init__(
        self,
        host: CommitTurns,
        store: Store,
        audit: AuditLog,
        *,
        app: Callable[[], AppSpec | None],
        number: Callable[[str, str], int | None],
        lanes: Callable[[], tuple[LaneStatus, ...]],
        wake: Callable[[], None],
    ) -> None:
        self._host = host
        self._store = store
        self._audit = audit
        self._app = app
        self._number = number
        self._lanes = lanes
        self._wake = wake

    def levels(self) -> list[dict[str, Any]]:
        """Every queue with its level and counters; `kept_aside` is what is set aside now."""
        with self._reading() as reader:
            return [self._level(name, reader) for name in self._names()]

    async def listed(self) -> list[dict[str, Any]]:
        """Every queue with its level, and what its lane says."""
        lanes = {(lane.component, lane.queue): lane for lane in self._lanes() if lane.queue}
        return [
            _told(level, lanes.get((level["component"], level["queue"]))) for level in self.levels()
        ]

    async def set_aside_rows(self, name: QueueName, before: Position, limit: int) -> dict[str, Any]:
        """The newest rows before a position, as many as one answer holds."""
        queue = self._find(name)

        def read(reader: Reader) -> tuple[list[SetAsideRow], bool]:
            return _page(reader, queue, before, limit)

        rows, more = await self._read(read)
        return {"rows": [_row(row) for row in rows], "more": more}

    async def put_back(self, name: QueueName, chosen: list[Position] | None) -> dict[str, Any]:
        """Move rows to the end of their queue, the oldest first, a bounded number a transaction."""
        queue = self._find(name)
        places = await self._chosen(name, queue, chosen, "put back")
        moved = left = tried = 0
        for part in _parts(places):
            went, left = await self._in_turn(partial(self._store.put_back, queue, part))
            self._wake()
            moved += went
            tried += len(part)
            if left:
                break
        if moved:
            self._tell("retry_set_aside_rows", name, moved)
        return {"rows": moved, "left": left + len(places) - tried}

    async def discard(self, name: QueueName, chosen: list[Position] | None) -> dict[str, Any]:
        """Forget rows."""
        queue = self._find(name)
        places = await self._chosen(name, queue, chosen, "discarded")
        gone = 0
        for part in _parts(places):
            [went] = await self._in_turn(partial(self._store.discard, queue, part))
            gone += went
        if gone:
            self._tell("discard_set_aside_rows", name, gone)
        return {"rows": gone}

    async def _in_turn(self, change: Callable[[], tuple[int, ...]]) -> Sequence[int]:
        """What a change of the store counted, once it is durable."""
        counted: Sequence[int] = ()

        def work() -> int:
            nonlocal counted
            ts, *counted = change()
            return ts

        await self._host.between_commits(work)
        return counted

    def _tell(self, action: str, name: QueueName, rows: int) -> None:
        about = {"component": name.component or None, "queue": name.queue, "rows": rows}
        self._audit.tell(action, about)

    def _names(self) -> list[QueueName]:
        app = self._app()
        return [
            QueueName(queue, component.path)
            for component in (app.components if app else ())
            for queue in component.queues
        ]

    def _find(self, name: QueueName) -> int:
        number = self._number(name.component, name.queue) if name in self._names() else None
        if number is None:
            known = ", ".join(map(str, self._names())) or "none"
            raise HostError(
                404, "QueueNotFound", f"There is no queue {name}. The app's queues are: {known}."
            )
        return number

    async def _chosen(
        self, name: QueueName, queue: int, chosen: list[Position] | None, done: str
    ) -> list[tuple[Position, int]]:
        """Those rows, oldest first, with their sizes; all are there, or nothing is done."""
        places = await self._read(lambda reader: reader.set_aside_places(queue))
        if chosen is None:
            return places
        wanted, there = set(chosen), {position for position, _ in places}
        if missing := sorted(wanted - there):
            raise HostError(
                404,
                "RowNotFound",
                f"No row {row_id(missing[0])} of the queue {name} is set aside. "
                f"Nothing was {done}.",
            )
        return [place for place in places if place[0] in wanted]

    def _level(self, name: QueueName, reader: Reader) -> dict[str, Any]:
        number = self._number(name.component, name.queue)
        stats, kept = QueueStats(), 0
        if number is not None:
            stats, kept = self._store.queue_stats(number), reader.count_set_aside(number)
        return {
            "component": name.component,
            "queue": name.queue,
            **msgspec.to_builtins(stats),
            "kept_aside": kept,
        }

    async def _read(self, what: Callable[[Reader], T]) -> T:
        """Read off the event loop; nothing is told that a power cut could undo."""

        def read() -> tuple[int, T]:
            with self._reading() as reader:
                head = reader.head
                assert head is not None
                return head.ts, what(reader)

        ts, found = await asyncio.to_thread(read)
        await self._host.wait_durable(ts)
        return found

    @contextmanager
    def _reading(self) -> Iterator[Reader]:
        reader = self._store.reader()
        try:
            reader.begin()
            yield reader
        finally:
            reader.close()


def _page(
    reader: Reader, queue: int, before: Position, limit: int
) -> tuple[list[SetAsideRow], bool]:
    """Rows within the limits of an answer, and whether there are others behind them."""
    rows: list[SetAsideRow] = []
    size = 0
    while len(rows) < limit and size < PAGE_BYTES:
        found = reader.set_aside_rows(queue, before, limit=min(_ROWS_A_READ, limit - len(rows)))
        if not found:
            return rows, False
        for row in found:
            if rows and size + len(row.body) > PAGE_BYTES:
                return rows, True
            rows.append(row)
            size += len(row.body)
        before = Position(rows[-1].ts, rows[-1].seq)
    return rows, bool(reader.set_aside_rows(queue, before, limit=1))


def _parts(places: Sequence[tuple[Position, int]]) -> Iterator[list[Position]]:
    part: list[Position] = []
    size = 0
    for position, row_bytes in places:
        if part and (len(part) == ROWS_AT_ONCE or size + row_bytes > BYTES_AT_ONCE):
            yield part
            part, size = [], 0
        part.append(position)
        size += row_bytes
    if part:
        yield part


def _row(row: SetAsideRow) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": row_id(Position(row.ts, row.seq)),
        "queuedMs": row.ts / 1_000_000,
        "reason": row.reason,
        "bytes": len(row.body),
    }
    try:
        codec.decode(row.body)
    except ValueError:  # it may have been set aside because of that
        return {**told, "base64": base64.b64encode(row.body).decode()}
    return {**told, "value": msgspec.Raw(row.body)}


def _told(level: dict[str, Any], lane: LaneStatus | None) -> dict[str, Any]:
    oldest_ts = level["oldest_ts"]
    return {
        "component": level["component"],
        "queue": level["queue"],
        "waiting": level["rows"],
        "bytes": level["bytes"],
        "oldestMs": None if oldest_ts is None else oldest_ts / 1_000_000,
        "sent": level["acknowledged"],
        "dropped": level["dropped"],
        "setAside": level["kept_aside"],
        "state": "no lane runs" if lane is None else lane.state,
        "missing": [] if lane is None else lane.missing,
        "lastError": None if lane is None else lane.last_error,
    }
