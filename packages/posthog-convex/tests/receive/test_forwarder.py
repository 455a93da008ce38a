from __future__ import annotations

import asyncio
import gzip
import json
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webhook_requests import SECRET, console, execution, failed, function

from posthog_convex.destination import Destination
from posthog_convex.exceptions import Budget
from posthog_convex.receive.answers import Accepted, Later, Reply, TooMuch, verdict_of
from posthog_convex.receive.forwarder import Forwarder
from posthog_convex.receive.outlets import ErrorsOutlet, LogsOutlet, Outgoing
from posthog_convex.receive.pace import Pace
from posthog_convex.receive.sending import Sender
from posthog_convex.receive.spool import Spool

TOKEN = "phc_canary"
TO = Destination(TOKEN, "http://posthog/")


class PostHog:
    """Answers with what it is told, then with 200, and keeps what it took."""

    def __init__(self, *answers: Reply | str) -> None:
        self.answers = list(answers)
        self.requests: list[Outgoing] = []
        self.taken: list[Any] = []
        self.refuses: Callable[[list[Any]], bool] = lambda items: False

    async def send(self, outgoing: Outgoing) -> Reply | str:
        self.requests.append(outgoing)
        if self.answers:
            return self.answers.pop(0)
        items = items_of(outgoing)
        if self.refuses(items):
            return Reply(400, {}, b"bad")
        self.taken += items
        return Reply(200)


def items_of(outgoing: Outgoing) -> list[Any]:
    body = json.loads(gzip.decompress(outgoing.body))
    if "batch" in body:
        return list(body["batch"])
    return [
        record
        for group in body["resourceLogs"]
        for scope in group["scopeLogs"]
        for record in scope["logRecords"]
    ]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path, ("logs", "errors"), max_bytes=10**8)
    yield made
    made.close()


def keep(spool: Spool, *events: dict[str, Any]) -> None:
    texts = [json.dumps(event).encode() for event in events]
    spool.accept(json.dumps(events).encode(), texts, 0)


def emptied(spool: Spool, posthog: PostHog, *, budget: Budget | None = None) -> list[float]:
    """Forward all there is; the pauses that were made."""
    pauses: list[float] = []

    async def work() -> None:
        errors = ErrorsOutlet(TO, budget or Budget())
        for outlet in (LogsOutlet(TO, None), errors):
            forwarder = Forwarder(outlet, spool, posthog.send, chance=lambda: 1.0)
            while (pause := await forwarder.step()) is not None:
                pauses.append(pause)

    asyncio.run(work())
    return [pause for pause in pauses if pause]


def test_lines_go_to_logs_and_failures_to_error_tracking(spool: Spool) -> None:
    posthog = PostHog()
    keep(spool, console(1_000), failed(2_000), execution(3_000))
    emptied(spool, posthog)
    logs, errors = posthog.requests
    assert logs.url == "http://posthog/i/v1/logs"
    assert dict(logs.headers)["Authorization"] == f"Bearer {TOKEN}"
    assert errors.url == "http://posthog/batch/"
    assert len(items_of(logs)) == 3
    (error,) = items_of(errors)
    assert error["event"] == "$exception"
    assert error["timestamp"] == "1970-01-01T00:00:02.000Z"
    assert spool.waiting("logs").sent == 3
    assert spool.waiting("errors").sent == 1


def test_lines_that_read_the_same_are_records_of_their_own(spool: Spool) -> None:
    posthog = PostHog()
    keep(spool, console(1), console(1))
    emptied(spool, posthog)
    ids = [
        one["value"]["stringValue"]
        for record in items_of(posthog.requests[0])
        for one in record["attributes"]
        if one["key"] == "log.record.uid"
    ]
    assert len(set(ids)) == 2


def test_every_deployment_is_a_resource_of_its_own(spool: Spool) -> None:
    posthog = PostHog()
    other = {"deployment_name": "other-cat-7", "deployment_type": None}
    keep(spool, console(1), console(2, convex=other), console(3))
    emptied(spool, posthog)
    groups = json.loads(gzip.decompress(posthog.requests[0].body))["resourceLogs"]
    named = [
        {one["key"]: one["value"]["stringValue"] for one in group["resource"]["attributes"]}
        for group in groups
    ]
    assert [group["service.name"] for group in named] == ["happy-otter-123", "other-cat-7"]
    assert named[0]["convex.deployment.type"] == "prod"
    assert "convex.deployment.type" not in named[1]


def test_the_same_bytes_go_out_again_after_trouble(spool: Spool) -> None:
    posthog = PostHog(Reply(503), "no answer within 10 s", Reply(429, {"retry-after": "40"}))
    keep(spool, console(1), failed(2))
    assert emptied(spool, posthog) == [0.5, 1.0, 40.0]
    first = posthog.requests[:4]
    assert len({request.body for request in first}) == 1
    assert len(posthog.taken) == 3


def test_one_bad_event_is_found_and_set_aside(spool: Spool) -> None:
    posthog = PostHog()
    posthog.refuses = lambda items: any(
        item.get("body", {}).get("stringValue") == "poison" for item in items
    )
    keep(spool, *(console(n, "poison" if n == 37 else f"line {n}") for n in range(100)))
    emptied(spool, posthog)
    bodies = [item["body"]["stringValue"] for item in posthog.taken]
    assert bodies == [f"line {n}" for n in range(100) if n != 37]
    assert spool.waiting("logs").set_aside == 1


def test_too_large_a_batch_is_sent_in_halves(spool: Spool) -> None:
    posthog = PostHog(Reply(413), Reply(413))
    keep(spool, *(console(n, f"line {n}") for n in range(10)))
    emptied(spool, posthog)
    assert [len(items_of(request)) for request in posthog.requests[:3]] == [10, 5, 2]
    assert [item["timeUnixNano"] for item in posthog.taken] == [
        str(n * 1_000_000) for n in range(10)
    ]


def test_requests_stay_below_what_posthog_takes(spool: Spool) -> None:
    posthog = PostHog()
    keep(spool, *(console(n, "\\" * 30_000) for n in range(120)))
    emptied(spool, posthog)
    assert len(posthog.taken) == 120
    sizes = [len(gzip.decompress(request.body)) for request in posthog.requests]
    assert max(sizes) <= 1536 * 1024


def test_the_budget_counts_what_it_leaves_out(spool: Spool) -> None:
    posthog, budget = PostHog(), Budget(per_minute=2)
    keep(spool, *(failed(n, function=function(request_id=f"r{n}")) for n in range(5)))
    emptied(spool, posthog, budget=budget)
    assert len([item for item in posthog.taken if "event" in item]) == 2
    assert budget.left_out == 3


def test_asking_the_budget_again_for_a_retry_costs_nothing(spool: Spool) -> None:
    outlet = ErrorsOutlet(TO, Budget(per_minute=1))
    keep(spool, failed(1))
    rows = spool.read("errors", 10, 10_000)
    first, again = outlet.encode(rows), outlet.encode(rows)
    assert first is not None
    assert first == again


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (Reply(200), Accepted()),
        (Reply(204), Accepted()),
        (
            Reply(200, {}, b'{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"old"}}'),
            Accepted(2, "old"),
        ),
        (Reply(413, {}, b"too big"), TooMuch("413: too big")),
        (Reply(503), Later("503")),
        (Reply(429, {"retry-after": "99999"}), Later("429", 900.0)),
        (Reply(500, {"retry-after": "Fri, 01 Jan"}), Later("500")),
        ("gone", Later("gone")),
    ],
)
def test_verdicts(reply: Reply | str, verdict: Any) -> None:
    assert verdict_of(reply) == verdict


@pytest.mark.parametrize(
    ("reply", "hint"),
    [
        (Reply(401, {}, b"bad token"), "POSTHOG_PROJECT_TOKEN"),
        (Reply(404), "POSTHOG_HOST"),
        (Reply(302), "POSTHOG_HOST"),
        (Reply(200, {"content-type": "text/html"}), "POSTHOG_HOST"),
        (Reply(200, {}, b'{"status":"Ok","quota_limited":["events"]}'), "billing"),
    ],
)
def test_what_a_person_must_change_keeps_the_events_and_says_so(reply: Reply, hint: str) -> None:
    found = verdict_of(reply)
    assert isinstance(found, Later)
    assert hint in found.reason
    assert found.after_s == 60.0


@given(st.lists(st.booleans(), max_size=60), st.floats(0, 1))
@settings(max_examples=50)
def test_pauses_and_batches_stay_within_bounds(failures: list[bool], chance: float) -> None:
    pace = Pace(most=400)
    for fails in failures:
        if fails:
            assert 0.0 <= pace.failed("no", None, chance) <= 30.0
        else:
            pace.too_much(pace.rows)
        assert 1 <= pace.rows <= 400
    pace.accepted()
    assert pace.trouble is None


def test_no_secret_is_in_what_leaves(spool: Spool) -> None:
    posthog = PostHog()
    keep(spool, console(1), failed(2))
    emptied(spool, posthog)
    for request in posthog.requests:
        assert SECRET.encode() not in gzip.decompress(request.body)
        assert TOKEN not in request.url


def test_a_peer_that_never_answers_is_given_up_in_time() -> None:
    async def ask() -> Reply | str:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            sender = Sender(deadline_s=0.2)
            try:
                return await sender.send(Outgoing(f"http://127.0.0.1:{port}/", (), b"{}", 1))
            finally:
                await sender.aclose()

    assert asyncio.run(ask()) == "no answer within 0.2 s"


def test_a_mishap_of_the_disk_stops_nothing_for_good(spool: Spool) -> None:
    posthog, pauses = PostHog(), list[float]()
    keep(spool, console(1))
    read, broken = spool.read, iter([sqlite3.OperationalError("disk I/O error")])

    def fails_once(*arguments: Any) -> Any:
        for error in broken:
            raise error
        return read(*arguments)

    spool.read = fails_once  # type: ignore[method-assign]  # the disk, for a moment

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def work() -> None:
        outlet = LogsOutlet(TO, None)
        forwarder = Forwarder(outlet, spool, posthog.send, sleep=sleep, chance=lambda: 0.0)
        running = asyncio.ensure_future(forwarder.run())
        while not posthog.taken:
            await asyncio.sleep(0.01)
        running.cancel()

    asyncio.run(work())
    assert pauses == [5.0]


def test_what_was_taken_and_could_not_be_noted_is_not_sent_again(spool: Spool) -> None:
    posthog = PostHog()
    keep(spool, console(1))
    done, broken = spool.done, iter([sqlite3.OperationalError("disk is full")] * 3)

    def fails(*arguments: Any) -> None:
        for error in broken:
            raise error
        done(*arguments)

    spool.done = fails  # type: ignore[method-assign]  # the disk, for a while

    async def work() -> None:
        forwarder = Forwarder(LogsOutlet(TO, None), spool, posthog.send)
        for _ in range(3):
            with pytest.raises(sqlite3.OperationalError):
                await forwarder.step()
        assert await forwarder.step() is None

    asyncio.run(work())
    assert len(posthog.requests) == 1
    assert (spool.waiting("logs").waiting, spool.waiting("logs").sent) == (0, 1)
