"""What other clients notice of functions that loop, hoard, leave and block.

Owns the claim about bad neighbours: the latency of good calls with them and without.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools

import uvloop

from benchmarks import machine
from benchmarks.cost_of_a_call import SERVER, body
from benchmarks.load import Load, Measured, measure, request
from benchmarks.report import Case, Figure, Result, options, publish
from benchmarks.servers import Place, running

CLAIM = (
    "Eight endless loops, or as many of any other bad neighbour, without pause: others wait a "
    "little longer, and none gets an error."
)
NOTES = [
    "Good clients: four connections that ask a query without pause. Bad ones: for each line, eight "
    "connections that call the one function again as soon as it has failed.",
    "Beside the loops the machine's cores are busy with nothing but them: what is left for others "
    "is what the system's scheduler gives to processes that have just woken up.",
]
ALONE = "no neighbours"
BESIDE = "ours"
BAD = {
    "endless loops": ("query", "bad:loop"),
    "memory hoarders": ("query", "bad:hoard"),
    "functions that exit": ("query", "bad:leave"),
    "blocked actions": ("action", "bad:block"),
}


async def _again_and_again(
    place: Place, kind: str, path: str, numbers: itertools.count[int]
) -> None:
    while True:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
            try:
                asked = body(path, {"n": next(numbers)})
                writer.write(request("POST", f"/api/{kind}", place.host, asked))
                await reader.readuntil(b"\r\n\r\n")
            finally:
                writer.close()


async def _beside(place: Place, seconds: float, bad: tuple[str, str] | None) -> Measured:
    numbers = itertools.count(1)
    neighbours = [
        asyncio.create_task(_again_and_again(place, *bad, numbers))
        for _ in range(8)
        if bad is not None
    ]

    def good() -> bytes:
        asked = body("calls:empty", {"n": next(numbers)})
        return request("POST", "/api/query", place.host, asked)

    try:
        return await measure(place.port, Load(4, seconds), good, b'"success"')
    finally:
        for task in neighbours:
            task.cancel()
        await asyncio.gather(*neighbours, return_exceptions=True)


def _measured(seconds: float, bad: tuple[str, str] | None) -> Measured:
    with running(SERVER) as place, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_beside(place, seconds, bad))


def main() -> None:
    quick = options(__doc__).parse_args().quick
    seconds, rounds = (3.0, 1) if quick else (6.0, 3)
    about = machine.describe()
    alone = [_measured(seconds, None) for _ in range(rounds)]
    cases = []
    for name, bad in BAD.items():
        beside = [_measured(seconds, bad) for _ in range(rounds)]
        for share, word in ((0.5, "median"), (0.99, "99th percentile")):
            figures = {
                BESIDE: Figure.of([m.percentile(share) for m in beside]),
                ALONE: Figure.of([m.percentile(share) for m in alone]),
            }
            cases.append(Case(f"beside eight {name}, {word}", "ms", False, figures))
    result = Result(
        name="bad_neighbours",
        claim=CLAIM,
        cases=cases,
        machine=about,
        versions=machine.versions("pyconvex", "uvloop"),
        settings={"seconds": str(seconds), "rounds": str(rounds)},
        notes=NOTES,
    )
    publish(result, keep=not quick)


if __name__ == "__main__":
    main()
