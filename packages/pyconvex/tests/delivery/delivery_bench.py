"""A data folder, a host and receivers for tests of lanes."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pyconvex.delivery import Request, Response, Unreachable
from pyconvex.delivery.messages import LaneComponent
from pyconvex.runlog.cursors import cursor_key
from pyconvex.runlog.log import RunLog
from pyconvex.storage import Position, Proposal, QueueAppend, Store
from pyconvex.values import codec

QUEUE = 7


def component(*lanes: str, env: dict[str, str] | None = None, path: str = "shop") -> LaneComponent:
    paths = tuple(lane if ":" in lane else f"sample_lanes:{lane}" for lane in lanes)
    return LaneComponent(path, paths, {"events": QUEUE}, env or {})


async def until(condition: Callable[[], object], deadline_s: float = 60.0) -> None:
    """Return once the condition holds; fail when it doesn't in time."""
    try:
        async with asyncio.timeout(deadline_s):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError("the condition did not come true in time") from None


class NoJitter(random.Random):
    """Every pause is over at once."""

    def random(self) -> float:
        return 0.0


class StoreHost:
    """A `LaneHost` over a real data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store.open(folder)
        self.run_log = RunLog(folder)
        self.logged: list[tuple[str, str, str, str]] = []
        self.calls: list[tuple[str, str, str, Any]] = []
        self.answer: Callable[[str], Any] = lambda path: None
        self.appended = 0

    def append(self, count: int, body: Callable[[int], Any] | None = None) -> int:
        """Append rows, one commit, durable; returns its timestamp."""
        make = body or (lambda number: {"uuid": f"u{number}"})
        numbers = range(self.appended, self.appended + count)
        rows = tuple(QueueAppend(QUEUE, codec.encode(make(number))) for number in numbers)
        self.appended += count
        self.store.append([Proposal(self.store.visible_ts, b"", appends=rows)])
        self.store.wait_durable_blocking(self.store.visible_ts, 10.0)
        return self.store.visible_ts

    @property
    def rows(self) -> int:
        return self.store.queue_stats(QUEUE).rows

    async def ack(self, queue: int, ts: int, seq: int) -> None:
        self.store.acknowledge(queue, Position(ts, seq))

    async def set_aside(self, queue: int, ts: int, seq: int, reason: str) -> None:
        self.store.set_aside(queue, Position(ts, seq), reason)

    def reads(self, component: str, lane: str, kinds: tuple[str, ...]) -> None:
        self.run_log.reads(cursor_key(component, lane), kinds)

    def run_log_ack(self, component: str, lane: str, ts: int, seq: int) -> None:
        self.run_log.acknowledge(cursor_key(component, lane), Position(ts, seq))

    def rejected_entries(self, component: str, lane: str, entries: int) -> None:
        """Not looked at here."""

    def set_aside_entry(self, component: str, lane: str, body: bytes, reason: str) -> None:
        self.run_log.set_aside(cursor_key(component, lane), body, reason)

    async def run(self, kind: str, component: str, path: str, args: bytes) -> bytes:
        self.calls.append((kind, component, path, codec.decode(args)))
        return codec.encode(self.answer(path))

    def log(self, component: str, lane: str, level: str, text: str) -> None:
        self.logged.append((component, lane, level, text))


class FakeTransport:
    """A receiver in this process; `answers` are used up first, then everything is accepted."""

    def __init__(self) -> None:
        self.answers: list[Response | Unreachable | asyncio.Future[Response]] = []
        self.requests: list[Request] = []
        self.batches: list[list[Any]] = []

    @property
    def accepted(self) -> list[str]:
        return [event["uuid"] for batch in self.batches for event in batch]

    async def send(self, request: Request) -> Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if self.answers else Response(200, {}, b"{}")
        if isinstance(answer, asyncio.Future):
            answer = await answer
        if isinstance(answer, Unreachable):
            raise answer
        if answer.status == 200:
            self.batches.append(json.loads(request.body)["batch"])
        return answer

    async def aclose(self) -> None:
        pass


class HttpReceiver:
    """A real receiver on 127.0.0.1; it can take a batch and keep the answer back."""

    def __init__(self, port: int = 0) -> None:
        self.batches: list[list[str]] = []
        self.bodies: list[Any] = []
        self.answering = threading.Event()
        self.answering.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.bodies.append(body)
                outer.batches.append([event["uuid"] for event in body["batch"]])
                outer.answering.wait(20)
                try:
                    self.send_response(200)
                    self.send_header("Content-Length", "2")
                    self.end_headers()
                    self.wfile.write(b"{}")
                except OSError:
                    self.close_connection = True  # the lane process was killed meanwhile

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def received(self) -> list[str]:
        return [uuid for batch in self.batches for uuid in batch]

    def close(self) -> None:
        self.answering.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
