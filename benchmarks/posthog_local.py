"""PostHog Local: how fast it takes events in, and how fast it answers with a million of them.

Owns the figures of a server as a developer starts it: one process, data on disk. No peer stands
beside it: PostHog itself needs some twenty services. Invariant: an event counts once it was
answered with 200, and thus is on disk; the million goes in the same way.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

from benchmarks import machine
from benchmarks.load import Load, measure, request
from benchmarks.report import OURS, Case, Figure, Result, options, publish
from posthog_local.testing import PostHogLocal, running

CLAIM = "PostHog Local keeps up with a busy development machine or CI run, in one process."
BATCH = 100
NAMES = ("$pageview", "$autocapture", "order_placed", "signed_up")


def main() -> None:
    arguments = options(__doc__).parse_args()
    seconds, events = (1.0, 20_000) if arguments.quick else (10.0, 1_000_000)
    about = machine.describe()
    cases = [_case("ready after the start", "ms", [_ready_ms() for _ in range(3)])]
    with tempfile.TemporaryDirectory() as folder, running(data=Path(folder)) as local:
        cases.append(_case("idle resident memory", "MB", [_rss_mb(local)]))
        cases += _ingestion(local, seconds)
        cases.append(_flags(local, seconds))
        cases += _with_many(local, events)
    publish(
        Result(
            name="posthog_local",
            claim=CLAIM,
            cases=cases,
            machine=about,
            versions=machine.versions("posthog-local", "apsw", "duckdb"),
            settings={"events stored": f"{events:,}", "events a batch": str(BATCH)},
        ),
        keep=not arguments.quick,
    )


def _ready_ms() -> float:
    started = time.perf_counter()
    with running():
        return (time.perf_counter() - started) * 1000


def _rss_mb(local: PostHogLocal) -> float:
    pages = int(Path(f"/proc/{local.pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def _ingestion(local: PostHogLocal, seconds: float) -> list[Case]:
    chance = random.Random(7)
    batches = [_post("/batch/", _batch(chance), packed=True) for _ in range(50)]
    singles = [_post("/i/v0/e/", {"api_key": "phc_a", **_event(chance)}) for _ in range(500)]
    return [
        _case("events a second, gzip batches of 100", "events a second",
              [BATCH * _per_second(local, batches, seconds, 8)], more=True),
        _case("events a second, single requests", "events a second",
              [_per_second(local, singles, seconds, 32)], more=True),
    ]  # fmt: skip


def _flags(local: PostHogLocal, seconds: float) -> Case:
    for number in range(100):
        line = {"key": "plan", "type": "person", "operator": "exact", "value": "pro"}
        local.set_flag(f"flag-{number}", rollout=number, properties=[line] if number % 2 else [])
    asked = [
        _post("/flags/?v=2", {"api_key": "phc_a", "distinct_id": f"user-{n}"}) for n in range(200)
    ]
    port, load = urlsplit(local.url).port or 0, Load(1, seconds)
    found = asyncio.run(measure(port, load, lambda: random.choice(asked), b'"flags"'))
    return _case("/flags with 100 flags, median", "ms", [found.percentile(0.5)])


def _with_many(local: PostHogLocal, events: int) -> list[Case]:
    chance = random.Random(8)
    for _ in range(events // 1000):
        _send(local, {"api_key": "phc_a", "batch": [_event(chance) for _ in range(1000)]})
    caught_up = _ms(lambda: _page(local, "/insights"))
    behind = []
    for _ in range(10):
        _send(local, {"api_key": "phc_a", "batch": [_event(chance)]})
        behind.append(_ms(lambda: _page(local, "/sql?q=select+count()+from+events")))
    return [
        _case("first question: the copy catches up", "ms", [caught_up]),
        _case("an event is in an SQL answer after", "ms", behind),
        _case("timeline of a person with a tenth of all events", "ms",
              [_ms(lambda: _page(local, "/_local/timeline?distinct_id=busy&limit=200"))
               for _ in range(10)]),
        _case("page of that person", "ms",
              [_ms(lambda: _page(local, "/person/busy")) for _ in range(10)]),
        _case("trend of one event by day, 30 days", "ms",
              [_ms(lambda: _page(local, "/insights?event=$pageview")) for _ in range(10)]),
    ]  # fmt: skip


def _event(chance: random.Random) -> dict[str, object]:
    who = "busy" if chance.random() < 0.1 else f"user-{chance.randrange(50_000)}"
    at = datetime.now(UTC) - timedelta(seconds=chance.randrange(30 * 86_400))
    own = {"plan": chance.choice(["free", "pro"]), "total": chance.randrange(500), "$lib": "web"}
    own["$current_url"] = f"http://shop.example/p/{chance.randrange(1000)}"
    return {"event": chance.choice(NAMES), "distinct_id": who, "timestamp": at.isoformat(),
            "properties": own}  # fmt: skip


def _batch(chance: random.Random) -> dict[str, object]:
    return {"api_key": "phc_a", "batch": [_event(chance) for _ in range(BATCH)]}


def _post(path: str, body: object, *, packed: bool = False) -> bytes:
    text = json.dumps(body).encode()
    if packed:
        path, text = path + "?compression=gzip", gzip.compress(text, 6)
    return request("POST", path, "127.0.0.1", text)


def _send(local: PostHogLocal, body: object) -> None:
    packed = gzip.compress(json.dumps(body).encode(), 1)
    urlopen(local.url + "/batch/?compression=gzip", packed).close()


def _page(local: PostHogLocal, path: str) -> None:
    with urlopen(local.url + path) as response:
        response.read()


def _per_second(
    local: PostHogLocal, requests: list[bytes], seconds: float, connections: int
) -> float:
    port, load = urlsplit(local.url).port or 0, Load(connections, seconds)
    return asyncio.run(measure(port, load, lambda: random.choice(requests), b"")).per_second


def _ms(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return (time.perf_counter() - started) * 1000


def _case(name: str, unit: str, samples: list[float], *, more: bool = False) -> Case:
    return Case(name, unit, more, {OURS: Figure.of(samples)})


if __name__ == "__main__":
    main()
