"""How soon subscribers see a commit, how many of them, and what that costs everybody else.

Owns the claims about live queries. There is no peer that does the same, so the table shows our own
figures. One invariant: a commit's time is the timestamp that the server gave it, on the same clock.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from dataclasses import dataclass, field

import uvloop

from benchmarks import host, machine
from benchmarks.load import Load, measure, request
from benchmarks.report import OURS, Case, Figure, Result, options, publish
from benchmarks.servers import Place, running
from benchmarks.sockets import SyncClient, connect_all

CLAIM = (
    "A commit reaches the clients that watch it within milliseconds; a query that thousands watch "
    "runs once; re-running a thousand queries leaves room for mutations; and a document that "
    "everybody writes, or a range that everybody appends to, takes nearly every commit at its "
    "first run."
)
NOTES = [
    "From the commit's timestamp to the arrival of the Transition in the client's process, which "
    "shares the two cores with the server: waiting until the commit is durable, running the query "
    "and sending are all inside.",
    "The thousand distinct queries count from the request that touches what they read. They read "
    "the same document, in 10 connections of 100 each; while they run again, four connections do "
    "mutations elsewhere without a pause.",
]
#: Everything that was asked for must have arrived by then.
PATIENCE_S = 60.0


@dataclass
class Arrivals:
    """What all clients heard of one commit."""

    wanted: int = 0
    #: Milliseconds from the commit to each result.
    delays_ms: list[float] = field(default_factory=list)
    #: When the last one came, in nanoseconds since 1970.
    last_ns: int = 0
    all_there: asyncio.Event = field(default_factory=asyncio.Event)

    def expect(self, results: int) -> None:
        self.wanted, self.delays_ms = results, []
        self.all_there.clear()

    def heard(self, client: SyncClient, results: int, committed: int, now: int) -> None:
        self.delays_ms += [(now - committed) / 1e6] * results
        self.last_ns = now
        if len(self.delays_ms) >= self.wanted:
            self.all_there.set()

    async def whole(self) -> list[float]:
        await asyncio.wait_for(self.all_there.wait(), PATIENCE_S)
        return self.delays_ms


class Writer:
    """One keep-alive connection that counts on demand."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def __aenter__(self) -> Writer:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._place.port)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._writer.close()

    async def count(self, name: str) -> None:
        """Add one, and return when it is durable."""
        self._writer.write(count_request(self._place, name))
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        answer = await self._reader.readexactly(length)
        if b'"success"' not in answer:
            raise SystemExit(f"a mutation failed: {answer[:600]!r}")


def count_request(place: Place, name: str) -> bytes:
    body = json.dumps({"path": "counters:count", "args": {"name": name}}).encode()
    return request("POST", "/api/mutation", place.host, body)


async def commit_to_clients(place: Place, subscribers: int, commits: int) -> list[list[float]]:
    """For each of some commits, when each subscriber of one query had it."""
    arrivals = Arrivals()
    arrivals.expect(subscribers)
    clients = await connect_all(place.port, subscribers, arrivals.heard)
    for client in clients:
        client.subscribe([("counters:read", {"name": f"shared by {subscribers}"})])
    await arrivals.whole()
    found = []
    async with Writer(place) as writer:
        for _ in range(commits):
            arrivals.expect(subscribers)
            await writer.count(f"shared by {subscribers}")
            found.append(await arrivals.whole())
    for client in clients:
        client.close()
    return found


async def mutations_beside_a_thousand_reruns(
    place: Place, rounds: int, chance: random.Random
) -> tuple[list[float], list[float]]:
    """The latencies of mutations while 1,000 distinct queries run again, and how long they take."""
    arrivals = Arrivals()
    arrivals.expect(1000)
    clients = await connect_all(place.port, 10, arrivals.heard)
    for client in clients:
        numbers = range(100 * client.number, 100 * client.number + 100)
        client.subscribe([("counters:read", {"name": "hub", "watcher": n}) for n in numbers])
    await arrivals.whole()
    names = [f"elsewhere {n}" for n in range(1000)]

    def elsewhere() -> bytes:
        return count_request(place, chance.choice(names))

    done: list[float] = []

    async def touch() -> None:
        async with Writer(place) as writer:
            for _ in range(rounds):
                arrivals.expect(1000)
                # Transitions say the newest timestamp, which is by then one of the others'.
                asked = time.time_ns()
                await writer.count("hub")
                await arrivals.whole()
                done.append((arrivals.last_ns - asked) / 1e6)

    touching = asyncio.create_task(touch())
    latencies: list[float] = []
    while not touching.done():
        measured = await measure(place.port, Load(4, 0.5, 0.0), elsewhere, b'"success"')
        latencies += measured.latencies_ms
    await touching
    for client in clients:
        client.close()
    return latencies, done


async def fought_over(
    place: Place, seconds: float, chance: random.Random
) -> tuple[float, float, float]:
    """Mutations a second of 50 connections: on one document, each on one of a thousand, and
    appending to one range.
    """
    names = [f"spread {n}" for n in range(1000)]
    texts = itertools.count()

    def hot() -> bytes:
        return count_request(place, "hot")

    def spread() -> bytes:
        return count_request(place, chance.choice(names))

    def appended() -> bytes:
        told = {"room": "lobby", "text": f"message {next(texts)}"}
        body = json.dumps({"path": "messages:say", "args": told}).encode()
        return request("POST", "/api/mutation", place.host, body)

    found = [
        (await measure(place.port, Load(50, seconds, 2.0), ask, b'"success"')).per_second
        for ask in (hot, spread, appended)
    ]
    return found[0], found[1], found[2]


def ready_s() -> float:
    """From `pyconvex start` with an app that was deployed before to the first answer."""
    started = time.perf_counter()
    with running(host.HOST):
        return time.perf_counter() - started


def percentile(values: list[float], share: float) -> float:
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))]


def one(name: str, unit: str, values: list[float], *, more_is_better: bool = False) -> Case:
    return Case(name, unit, more_is_better, {OURS: Figure.of(values)})


async def all_cases(place: Place, quick: bool, chance: random.Random) -> list[Case]:
    rounds = 5 if quick else 40
    hundred = await commit_to_clients(place, 100, 20 if quick else 300)
    many = await commit_to_clients(place, 2000, 3 if quick else 15)
    latencies, reruns = await mutations_beside_a_thousand_reruns(place, rounds, chance)
    turns = [await fought_over(place, 1.0 if quick else 4.0, chance) for _ in range(3)]
    hot, spread, appended = map(list, zip(*turns, strict=True))
    return [
        one("100 subscribers, median", "ms", [percentile(d, 0.5) for d in hundred]),
        one("100 subscribers, 99th percentile", "ms", [percentile(d, 0.99) for d in hundred]),
        one("2,000 subscribers, the last one", "ms", [max(d) for d in many]),
        one("1,000 distinct queries, the last one", "ms", reruns),
        one("a mutation meanwhile, median", "ms", [percentile(latencies, 0.5)]),
        one("a mutation meanwhile, 99th percentile", "ms", [percentile(latencies, 0.99)]),
        one("50 clients on one document", "mutations a second", hot, more_is_better=True),
        one(
            "50 clients on a thousand documents", "mutations a second", spread, more_is_better=True
        ),
        one("50 clients append to one range", "mutations a second", appended, more_is_better=True),
        one("one document against a thousand", "share", [h / s for h, s, _ in turns]),
    ]


def main() -> None:
    quick = options(__doc__).parse_args().quick
    about = machine.describe()
    starts = [ready_s() for _ in range(1 if quick else 5)]
    with running(host.HOST) as place, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        cases = runner.run(all_cases(place, quick, random.Random(20)))
    result = Result(
        name="live_queries",
        claim=CLAIM,
        cases=[*cases, one("first start to first answer", "s", starts)],
        machine=about,
        versions=machine.versions("pyconvex", "uvicorn", "uvloop", "apsw"),
        settings={"rounds": "quick" if quick else "full"},
        notes=NOTES,
    )
    publish(result, keep=not quick)


if __name__ == "__main__":
    main()
