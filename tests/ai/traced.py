"""A deployment whose calls are traced, and questions to PostHog Local about one trace.

Owns both. Never starts a receiver: that is handed in. One invariant: every call has a request id of
its own, so a trace is one call's.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from posthog_local.testing import PostHogLocal
from pyconvex.delivery.messages import LaneStatus
from pyconvex.identity import ANONYMOUS
from pyconvex.runlog.log import FOLDER
from pyconvex.runlog.otlp import kept_span
from pyconvex.runlog.reader import RunLogReader
from pyconvex.runlog.traces import SPAN, trace_id_of
from pyconvex.runlog.window import Window
from pyconvex.runtime.calls import EnvChange, FunctionCall, Outcome, Success
from pyconvex.server import Server, Settings
from pyconvex.storage import START
from pyconvex.values import codec

HERE = Path(__file__).parent
PATIENCE_S = 30.0

T = TypeVar("T")
_numbers = itertools.count(1)


class Deployment:
    """A running server on a loop of its own thread."""

    def __init__(self, app: Path, data: Path, isolates: int = 1, **env: str) -> None:
        self._app = app
        self._data = data
        self._isolates = isolates
        self._env = env
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.server: Server

    def __enter__(self) -> Deployment:
        self._thread.start()
        self.do(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self.do(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S * 3)

    async def _start(self) -> None:
        settings = Settings(data=self._data, isolates=self._isolates, port=0, site_port=0)
        self.server = Server(settings)
        await self.server.start()
        await self.server._environment.apply([EnvChange(n, v) for n, v in self._env.items()])
        await self.server.deploy(self._app)

    def set_env(self, **changes: str | None) -> None:
        """Set or remove variables."""
        self.do(self.server._environment.apply([EnvChange(n, v) for n, v in changes.items()]))

    def lanes(self) -> tuple[LaneStatus, ...]:
        """How the lanes fare."""
        return self.server._lanes.status()

    def told(self, trace: str) -> list[str]:
        """The names of the trace's spans that are in the run log."""
        reader = RunLogReader(Window(self._data / FOLDER), frozenset({SPAN}))
        rows, _ = reader.read(START, 1 << 30, 1 << 30)
        kept = [kept_span(row.entry.value) for row in rows]
        return [k.span.name for k in kept if k is not None and k.span.trace_id == trace]

    def pids(self) -> list[int]:
        """The isolates; first of all is the process that forks them."""
        pool = self.server._deployer._host._app._pool
        assert pool is not None
        return list(pool.pids)[1:]

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for a condition."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.05)

    def call(self, kind: Any, path: str, args: Mapping[str, Any] | None = None, **more: Any) -> str:
        """Run a function; the trace that it is in. Fails when it does."""
        request_id, outcome = self.outcome(kind, path, args, **more)
        assert isinstance(outcome, Success), outcome.message
        self.value = codec.decode(outcome.value)
        return trace_id_of(request_id)

    def outcome(
        self, kind: Any, path: str, args: Mapping[str, Any] | None = None, **more: Any
    ) -> tuple[str, Outcome]:
        """Run a function; its request id and how it ended."""
        return self.do(self.running(kind, path, args, **more))

    def begin(
        self, kind: Any, path: str, args: Mapping[str, Any] | None = None, **more: Any
    ) -> tuple[str, Future[tuple[str, Outcome]]]:
        """Begin a function; the trace that it is in, and how it ends."""
        request_id = f"request-{next(_numbers)}"
        work = self.running(kind, path, args, request_id=request_id, **more)
        return trace_id_of(request_id), asyncio.run_coroutine_threadsafe(work, self._loop)

    async def running(
        self,
        kind: Any,
        path: str,
        args: Mapping[str, Any] | None = None,
        request_id: str = "",
        **more: Any,
    ) -> tuple[str, Outcome]:
        """The same, to run several at once."""
        # No two in one PostHog Local: traces follow from them.
        request_id = self.last_request_id = request_id or f"request-{next(_numbers)}"
        host = self.server._deployer._host
        call = FunctionCall(
            kind=kind,
            path=path,
            args=codec.encode(dict(args or {})),
            identity=ANONYMOUS,
            request_id=request_id,
            origin="httpApi",
            public_only=False,
            **more,
        )
        return request_id, await host.run_any(call)


class Traces:
    """What PostHog Local has of traces."""

    def __init__(self, local: PostHogLocal) -> None:
        self.local = local

    def of(self, trace: str, count: int) -> list[dict[str, Any]]:
        """The trace's events, the oldest first, once there are so many; never more."""
        found = self.at_least(trace, count)
        assert len(found) == count, tree(found)
        return found

    def at_least(self, trace: str, count: int) -> list[dict[str, Any]]:
        """The trace's events, the oldest first, once there are so many."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            found = [
                event
                for event in self.local.events()
                if event["properties"].get("$ai_trace_id") == trace
            ]
            if len(found) >= count:
                return sorted(found, key=_began)
            assert time.monotonic() < deadline, f"{count} events wanted; there are:\n{tree(found)}"
            time.sleep(0.05)


def tree(events: list[dict[str, Any]]) -> str:
    """A trace as lines: event, name, indented below its parent."""
    by_parent: dict[str | None, list[dict[str, Any]]] = {}
    ids = {event["properties"]["$ai_span_id"] for event in events}
    for event in events:
        parent = event["properties"].get("$ai_parent_id")
        by_parent.setdefault(parent if parent in ids else None, []).append(event)

    def lines(parent: str | None, depth: int) -> Iterator[str]:
        of_parent = by_parent.get(parent, [])
        for event in sorted(of_parent, key=_began):
            properties = event["properties"]
            yield "  " * depth + f"{event['event']} {properties['$ai_span_name']}"
            yield from lines(properties["$ai_span_id"], depth + 1)

    return "\n".join(lines(None, 0))


def _began(event: dict[str, Any]) -> int:
    return int(event["properties"]["$otel_start_time_unix_nano"])
