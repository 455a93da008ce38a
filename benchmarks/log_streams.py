"""What log streams cost the functions whose lines they carry, also when nobody takes them.

Owns the claim about the latency of a function that prints. Never counts on a fast receiver: it only
answers. Invariant: all that is compared runs in one deployment, in turns, and differs in the
streams alone.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.load import Load, measure, request
from benchmarks.report import OURS, Case, Figure, Result, options, publish
from benchmarks.servers import Place, Server, python, running

WITHOUT = "the same without streams"
CLAIM = (
    "Log streams read what runs wrote down anyway, in a process of their own: a function that "
    "prints is hardly slower with three of them on, and a receiver that hangs slows nothing."
)
NOTES = [
    "The mutation prints ten lines and writes nothing. Three streams of all topics: a webhook, a "
    "file and the terminal. The dead one is a webhook whose receiver takes requests and never "
    "answers; it began to hang after it had been verified.",
    "Streams are added and deleted between the slices, so that what else the machine does meets "
    "all alike. Load generator, receiver and lanes share the cores with the host: what streams "
    "take of the processor is in the figures.",
]
FUNCTIONS = """
from pyconvex import MutationCtx, QueryCtx, mutation, query


@query
async def ready(ctx: QueryCtx) -> bool:
    return True


@mutation
async def say(ctx: MutationCtx) -> str:
    for number in range(10):
        print("line", number, "of a function that says what it does")
    return "said"
"""
RECEIVER = """
import asyncio, sys

hanging = False

async def serve(reader, writer):
    global hanging
    try:
        while head := await reader.readuntil(b"\\r\\n\\r\\n"):
            length = 0
            for line in head.lower().split(b"\\r\\n"):
                if line.startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            await reader.readexactly(length)
            if head.startswith(b"GET /hang"):
                hanging = True
            if head.startswith(b"GET /go"):
                hanging = False
            if hanging and head.startswith(b"POST /dead"):
                await asyncio.sleep(3600)
            writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 5\\r\\n\\r\\nready")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()

asyncio.run(main())
"""
BODY = json.dumps({"path": "shop:say", "args": {}, "format": "json"}).encode()


def main() -> None:
    quick = options(__doc__).parse_args().quick
    seconds, rounds = (1.0, 2) if quick else (2.0, 7)
    about = machine.describe()
    cases = []
    with running(_receiver()) as receiver, running(_host()) as place:
        streams = Streams(place, receiver)
        for connections in (1, 16):
            cases += _compared(place, streams, connections, seconds, rounds)
    result = Result(
        name="log_streams",
        claim=CLAIM,
        cases=cases,
        machine=about,
        versions=machine.versions("pyconvex", "apsw"),
        settings={"seconds": str(seconds), "rounds": str(rounds)},
        notes=NOTES,
    )
    publish(result, keep=not quick)


class Streams:
    """The streams of the deployment under test."""

    def __init__(self, place: Place, receiver: Place) -> None:
        self._place = place
        self._receiver = f"http://{receiver.host}"
        self._key = (place.folder / "data" / "admin_key").read_text().strip()

    @contextmanager
    def none(self) -> Iterator[None]:
        """No stream at all."""
        yield

    @contextmanager
    def three(self) -> Iterator[None]:
        """A webhook, a file and the terminal, each with all topics."""
        with self._on(
            {"logStreamType": "webhook", "url": f"{self._receiver}/in", "format": "jsonl"},
            {"logStreamType": "file", "path": str(self._place.folder / "events.jsonl")},
            {"logStreamType": "terminal", "format": "jsonl"},
        ):
            yield

    @contextmanager
    def dead(self) -> Iterator[None]:
        """A webhook whose receiver hangs."""
        settings = {"logStreamType": "webhook", "url": f"{self._receiver}/dead", "format": "jsonl"}
        with self._on(settings):
            _get(f"{self._receiver}/hang")
            yield
        _get(f"{self._receiver}/go")

    @contextmanager
    def _on(self, *settings: dict[str, Any]) -> Iterator[None]:
        ids = [self._ask("POST", "create_log_stream", each)["id"] for each in settings]
        for id_ in ids:
            deadline = time.monotonic() + 30
            while self._ask("GET", f"get_log_stream/{id_}")["status"]["type"] != "active":
                if time.monotonic() > deadline:
                    raise SystemExit("a log stream did not become active")
                time.sleep(0.05)
        yield
        for id_ in ids:
            self._ask("POST", f"delete_log_stream/{id_}", {})

    def _ask(self, method: str, what: str, body: Any = None) -> Any:
        asked = urllib.request.Request(
            f"http://{self._place.host}/api/v1/{what}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Convex {self._key}"},
            method=method,
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            said = answer.read()
        return json.loads(said) if said else None


def _compared(
    place: Place, streams: Streams, connections: int, seconds: float, rounds: int
) -> list[Case]:
    """Slices in turns: without, with three, with a dead one; the first round only warms up."""
    turns: list[Callable[[], Any]] = [streams.none, streams.three, streams.dead]
    medians: list[list[float]] = [[], [], []]
    at95: list[list[float]] = [[], [], []]
    asked = request("POST", "/api/mutation", place.host, BODY)
    for number in range(rounds + 1):
        for turn, streaming in enumerate(turns):
            with streaming():
                found = asyncio.run(
                    measure(place.port, Load(connections, seconds, 0.3), lambda: asked, b'"said"')
                )
            if number:
                medians[turn].append(found.percentile(0.5))
                at95[turn].append(found.percentile(0.95))
    at = f"{connections} connection{'s' if connections > 1 else ''}"
    cases = []
    for turn, what in ((1, "three streams"), (2, "a dead stream")):
        for unit, samples in (("median ms", medians), ("95th percentile, ms", at95)):
            figures = {OURS: Figure.of(samples[turn]), WITHOUT: Figure.of(samples[0])}
            cases.append(Case(f"{what}, {at}", unit, False, figures))
    return cases


def _receiver() -> Server:
    def command(place: Place) -> list[str]:
        return python("-c", RECEIVER, str(place.port))

    return Server("receiver", command, "/ready", ready_text=b"ready")


def _host() -> Server:
    def prepare(place: Place) -> None:
        folder = place.folder / "convex"
        folder.mkdir()
        (folder / "shop.py").write_text(FUNCTIONS)

    def command(place: Place) -> list[str]:
        return [
            *(str(Path(sys.executable).with_name("pyconvex")), "start"),
            *("--functions", str(place.folder / "convex")),
            *("--data", str(place.folder / "data"), "--port", str(place.port), "--site-port", "0"),
        ]

    return Server(
        "pyconvex",
        command,
        "/api/query?path=shop:ready&args=%7B%7D&format=json",
        ready_text=b'"success"',
        prepare=prepare,
    )


def _get(url: str) -> None:
    with urllib.request.urlopen(url, timeout=60) as answer:
        answer.read()


if __name__ == "__main__":
    main()
