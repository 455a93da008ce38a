"""What an event costs: the mutation that captures it, the requests that carry it, the way there.

Owns the claims about capturing and delivering. Never counts on a fast receiver: it only counts.
Invariant: the two mutations that are compared differ in the capture alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import random
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.load import Load, measure, request
from benchmarks.report import OURS, Case, Figure, Result, options, publish
from benchmarks.servers import Place, Server, python, running

WITHOUT = "the same without capture"
CLAIM = (
    "`capture` is one more row in the mutation's own transaction. Rows leave by themselves, many "
    "in a request; an idle deployment writes nothing and, without a key for flags, asks nothing."
)
NOTES = [
    "The mutation is the deposit of the durable-mutations benchmark: it reads an account, changes "
    "its balance and inserts an entry with an index. Ours captures an event with two properties "
    "besides. Both are asked in turns, in one deployment; the lane sends what was captured to a "
    "receiver that only counts. Load generator and receiver share the two cores with the host.",
    "1,000 events a second: a mutation that captures ten, a hundred times a second, for as long as "
    "the settings say; requests are those that reached the receiver.",
    "From commit to arrival: one event at a time, with pauses, from the mutation's answer to the "
    "receiver's first look at the request; an event waits half a second for company.",
    "Idle with a key: requests an interval of one second, and commits that they cause; the first "
    "minute's answers have no etag, so each is a whole answer that changes nothing.",
]
CONFIG = """
from posthog_convex import posthog_component
from pyconvex import define_app

app = define_app()
app.use(posthog_component, env={env!r})
"""
FUNCTIONS = """
from posthog_convex import PostHog
from pyconvex import Document, Id, MutationCtx, QueryCtx, components, mutation, query

posthog = PostHog(components.posthog)


class Account(Document, table="accounts"):
    name: str
    balance: float


class Entry(Document, table="entries", indexes={"by_account": ["account"]}):
    account: Id[Account]
    amount: float
    note: str


@query
async def ready(ctx: QueryCtx) -> bool:
    return True


@mutation
async def fill(ctx: MutationCtx, count: int) -> list[str]:
    return [await ctx.db.insert(Account(name=f"n{i}", balance=0.0)) for i in range(count)]


@mutation
async def deposit(ctx: MutationCtx, account: Id[Account], amount: float) -> dict[str, float]:
    found = await ctx.db.get(account)
    assert found is not None
    balance = found.balance + amount
    await ctx.db.patch(account, {"balance": balance})
    await ctx.db.insert(Entry(account=account, amount=amount, note="a deposit"))
    return {"balance": balance}


@mutation
async def deposit_and_capture(
    ctx: MutationCtx, account: Id[Account], amount: float
) -> dict[str, float]:
    found = await ctx.db.get(account)
    assert found is not None
    balance = found.balance + amount
    await ctx.db.patch(account, {"balance": balance})
    await ctx.db.insert(Entry(account=account, amount=amount, note="a deposit"))
    properties = {"amount": amount, "balance": balance}
    await posthog.capture(ctx, "deposited", distinct_id=account, properties=properties)
    return {"balance": balance}


@mutation
async def events(ctx: MutationCtx, first: int, count: int) -> None:
    for number in range(first, first + count):
        await posthog.capture(ctx, "tick", distinct_id="u", properties={"number": number})
"""
ACCOUNTS = 1_000


def main() -> None:
    quick = options(__doc__).parse_args().quick
    seconds, rounds = (1.0, 3) if quick else (2.0, 15)
    events_s, alone = (3.0, 10) if quick else (20.0, 100)
    about = machine.describe()
    with receiving() as receiver:
        with running(host(receiver)) as place:
            cases = _cost(place, connections=1, seconds=seconds, rounds=rounds)
            cases += _cost(place, connections=16, seconds=seconds, rounds=rounds)
            cases += [_a_thousand_a_second(place, receiver, events_s)]
            cases += [_to_arrival(place, receiver, alone)]
        cases += _idle(receiver, 3.0 if quick else 20.0)
    result = Result(
        name="events",
        claim=CLAIM,
        cases=cases,
        machine=about,
        versions=machine.versions("pyconvex", "posthog-convex", "apsw"),
        settings={
            "seconds": str(seconds),
            "rounds": str(rounds),
            "1,000 events a second, for": f"{events_s:g} s",
            "events sent alone": str(alone),
        },
        notes=NOTES,
    )
    publish(result, keep=not quick)


class Receiver:
    """The running receiver."""

    def __init__(self, place: Place) -> None:
        self.url = f"http://{place.host}"

    def counts(self) -> dict[str, Any]:
        """What came since the last time."""
        with urllib.request.urlopen(f"{self.url}/counts", timeout=10) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found


@contextmanager
def receiving() -> Iterator[Receiver]:
    def command(place: Place) -> list[str]:
        return python("-c", f"from benchmarks.receiver import run; run({place.port})")

    with running(Server("receiver", command, "/ready", ready_text=b"ready")) as place:
        yield Receiver(place)


def host(receiver: Receiver, **env: str) -> Server:
    """Our host on the deposits, sending to the receiver."""
    variables = {"POSTHOG_PROJECT_TOKEN": "phc_x", "POSTHOG_HOST": receiver.url, **env}

    def prepare(place: Place) -> None:
        folder = place.folder / "convex"
        folder.mkdir()
        (folder / "convex_config.py").write_text(CONFIG.format(env=variables))
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


def _cost(place: Place, *, connections: int, seconds: float, rounds: int) -> list[Case]:
    """Slices of both mutations in turns: what else the machine does meets both alike."""
    ids = _mutation(place, "shop:fill", count=ACCOUNTS)
    per_second: dict[str, list[float]] = {OURS: [], WITHOUT: []}
    median_ms: dict[str, list[float]] = {OURS: [], WITHOUT: []}
    cpu_us: dict[str, list[float]] = {OURS: [], WITHOUT: []}
    for number in range(rounds + 1):
        for name, path in ((OURS, "shop:deposit_and_capture"), (WITHOUT, "shop:deposit")):
            asked = [
                request("POST", "/api/mutation", place.host, _body(path, account=id_, amount=1.5))
                for id_ in ids
            ]
            before = _cpu_s(place)
            found = asyncio.run(
                measure(
                    place.port,
                    Load(connections, seconds, 0.0),
                    partial(random.choice, asked),
                    b'"balance"',
                )
            )
            time.sleep(0.7)  # for the lane to send what it has: that is the event's cost too
            if number:
                per_second[name].append(found.per_second)
                median_ms[name].append(found.percentile(0.5))
                cpu_us[name].append((_cpu_s(place) - before) / found.requests * 1e6)
    at = f"{connections} connection{'s' if connections > 1 else ''}"

    def figures(samples: dict[str, list[float]]) -> dict[str, Figure]:
        return {name: Figure.of(found) for name, found in samples.items()}

    return [
        Case(at, "mutations a second", True, figures(per_second)),
        Case(at, "median ms", False, figures(median_ms)),
        Case(at, "processor time of all processes of the host a mutation, µs", False,
             figures(cpu_us)),
    ]  # fmt: skip


def _cpu_s(place: Place) -> float:
    """Processor time of the server and of all that it started, the ended ones' too."""
    ticks: dict[int, int] = {}
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rsplit(")", 1)[1].split()
            pid = int(stat.parent.name)
            parents[pid], ticks[pid] = int(fields[1]), sum(map(int, fields[11:15]))
    ours = {pid for pid in parents if _serves(pid, place)}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(ticks[pid] for pid in ours) / os.sysconf("SC_CLK_TCK")


def _serves(pid: int, place: Place) -> bool:
    try:
        return f"--port\0{place.port}\0".encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _a_thousand_a_second(place: Place, receiver: Receiver, seconds: float) -> Case:
    receiver.counts()
    started, sent = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < seconds:
        while sent < elapsed * 1000:
            _mutation(place, "shop:events", first=sent, count=10)
            sent += 10
        time.sleep(0.002)
    events, requests = _arrived(receiver, sent)
    rate = sent / seconds
    name = f"events a request, at {rate:,.0f} events a second"
    return _case(name, "events", [events / requests], more=True)


def _arrived(receiver: Receiver, expected: int) -> tuple[int, int]:
    events = requests = 0
    deadline = time.monotonic() + 30
    while events < expected:
        if time.monotonic() > deadline:
            raise SystemExit(f"only {events} of {expected} events arrived")
        time.sleep(0.1)
        counts = receiver.counts()
        events, requests = events + counts["events"], requests + counts["requests"]
    return events, requests


def _to_arrival(place: Place, receiver: Receiver, alone: int) -> Case:
    receiver.counts()
    committed: dict[int, float] = {}
    for number in range(1_000_000, 1_000_000 + alone):
        _mutation(place, "shop:events", first=number, count=1)
        committed[number] = time.time()
        time.sleep(0.35)
    time.sleep(2.0)
    arrivals = receiver.counts()["arrivals"]
    waits = sorted((arrivals[str(n)] - at) * 1000 for n, at in committed.items())
    at95 = waits[math.ceil(len(waits) * 0.95) - 1]
    figure = Figure(at95, waits[0], waits[-1])
    return Case("from commit to arrival when idle, 95th percentile", "ms", False, {OURS: figure})


def _idle(receiver: Receiver, seconds: float) -> list[Case]:
    cases = []
    key = {
        "POSTHOG_PERSONAL_API_KEY": "phx_x",
        "POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS": "1",
    }
    for name, env in (("with a key", key), ("without a key", {})):
        with running(host(receiver, **env)) as place:
            time.sleep(3.0)
            receiver.counts()
            before = _log_bytes(place)
            time.sleep(seconds)
            counts, after = receiver.counts(), _log_bytes(place)
        asked = counts["requests"] + counts["definitions"]
        cases.append(_case(f"idle {name}: requests a second", "requests", [asked / seconds]))
        cases.append(_case(f"idle {name}: bytes written to the log", "bytes", [after - before]))
    return cases


def _log_bytes(place: Place) -> int:
    """Bytes of the database's log, which grows with commits."""
    return sum(f.stat().st_size for f in (place.folder / "data").rglob("*-wal"))


def _mutation(place: Place, path: str, **arguments: Any) -> Any:
    asked = urllib.request.Request(
        f"http://{place.host}/api/mutation",
        _body(path, **arguments),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:
        said = json.loads(answer.read())
    if said["status"] != "success":
        raise SystemExit(f"{path} failed: {said['errorMessage']}")
    return said["value"]


def _body(path: str, **arguments: Any) -> bytes:
    return json.dumps({"path": path, "args": arguments, "format": "json"}).encode()


def _case(name: str, unit: str, samples: list[float], *, more: bool = False) -> Case:
    return Case(name, unit, more, {OURS: Figure.of(samples)})


if __name__ == "__main__":
    main()
