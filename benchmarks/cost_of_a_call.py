"""What one call costs in processor time, by process.

Owns the claim about the overhead of queries, mutations and nested calls. Processor time, not time
on the clock: it hardly depends on what else the machine does.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from benchmarks import machine, processes
from benchmarks.load import Load, measure, request
from benchmarks.report import OURS, Case, Figure, Result, options, publish
from benchmarks.servers import ROOT, Place, Server, running

CLAIM = (
    "Processor time of one call over HTTP, in the server and in the isolate that runs it, with the "
    "system's share. A nested call costs its isolate part alone."
)
NOTES = [
    "Eight connections; medians of rounds, lowest and highest beside them. Every call has its own "
    "arguments, so that none is answered from memory, except where the name says so.",
    "`nested component call` is a query that calls a component's query; what it costs more than "
    "`empty query` is the price of the nested call.",
]
CONNECTIONS = 8


def _command(place: Place) -> list[str]:
    return [
        *(str(Path(sys.executable).with_name("pyconvex")), "start"),
        *("--functions", str(ROOT / "benchmarks" / "cost_functions")),
        *("--data", str(place.folder / "data"), "--port", str(place.port), "--site-port", "0"),
    ]


SERVER = Server(
    "pyconvex",
    _command,
    "/api/query?path=calls:ready&args=%7B%7D&format=json",
    ready_text=b'"success"',
    environment={"PYTHONPATH": str(ROOT)},
)

Requests = Callable[[Place, int], bytes]


def _call(route: str, path: str, **fixed: Any) -> Requests:
    def make(place: Place, n: int) -> bytes:
        return request("POST", route, place.host, body(path, {**fixed, "n": n}))

    return make


def body(path: str, arguments: dict[str, Any]) -> bytes:
    body = {"path": path, "args": arguments, "format": "convex_encoded_json"}
    return msgspec.json.encode(body)


CASES: dict[str, Requests] = {
    "query from memory": lambda place, n: request(
        "POST", "/api/query", place.host, body("calls:ready", {})
    ),
    "empty query": _call("/api/query", "calls:empty"),
    "point query": _call("/api/query", "calls:point"),
    "nested component call": _call("/api/query", "calls:nested"),
    "empty mutation": _call("/api/mutation", "calls:empty_mutation"),
    "insert": _call("/api/mutation", "calls:insert"),
}


async def _measured(place: Place, pid: int, make: Requests, seconds: float) -> dict[str, float]:
    """Microseconds of processor time a call, by kind of process."""
    numbers = itertools.count()
    next_request = lambda: make(place, next(numbers))  # noqa: E731
    promised = b'"success"'
    await measure(place.port, Load(CONNECTIONS, seconds / 3, 0.0), next_request, promised)
    before = _used_s(pid)
    began = next(numbers)
    await measure(place.port, Load(CONNECTIONS, seconds, 0.0), next_request, promised)
    calls = next(numbers) - began - 1
    return {
        kind: (used - before.get(kind, 0.0)) / calls * 1e6 for kind, used in _used_s(pid).items()
    }


def _used_s(server: int) -> dict[str, float]:
    """Processor time so far by kind of process, that of isolates which were replaced included."""
    kinds = processes.kinds(server)
    used = {kind: processes.cpu_s(pids) for kind, pids in kinds.items()}
    used["isolates"] += processes.ended_children_s(kinds["template"])
    return used


def _round(seconds: float, only: str) -> dict[str, dict[str, float]]:
    found = {}
    with running(SERVER) as place, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        row = runner.run(_insert(place))
        for name, make in CASES.items():
            if only not in name:
                continue
            if name == "point query":
                make = _call("/api/query", "calls:point", row=row)
            found[name] = runner.run(_measured(place, place.pid, make, seconds))
            print(f"  {name}: {found[name]}", flush=True)
    return found


async def _insert(place: Place) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    writer.write(CASES["insert"](place, 0))
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    answer = msgspec.json.decode(await reader.readexactly(length))
    writer.close()
    row: str = answer["value"]
    return row


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    chosen = parser.parse_args()
    seconds, rounds = (1.0, 1) if chosen.quick else (3.0, 3)
    about = machine.describe()
    found = [_round(seconds, chosen.only) for _ in range(rounds)]
    cases = [
        Case(
            name=f"{name}, {part}",
            unit="µs of processor time",
            more_is_better=False,
            figures={OURS: Figure.of([sum(r[name].get(k, 0.0) for k in kinds) for r in found])},
        )
        for name in found[0]
        for part, kinds in (
            ("in all", ("server", "isolates", "template", "lanes")),
            ("server", ("server",)),
            ("isolate", ("isolates",)),
        )
    ]
    result = Result(
        name="cost_of_a_call",
        claim=CLAIM,
        cases=cases,
        machine=about,
        versions=machine.versions("pyconvex", "uvicorn", "uvloop", "apsw", "msgspec"),
        settings={"connections": str(CONNECTIONS), "seconds": str(seconds), "rounds": str(rounds)},
        notes=NOTES,
    )
    publish(result, keep=not chosen.quick)


if __name__ == "__main__":
    main()
