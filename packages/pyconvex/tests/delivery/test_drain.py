"""A queue drained through every fault that a receiver can show, on a virtual clock."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pyconvex.delivery import (
    Accepted,
    Limits,
    Refused,
    Request,
    Response,
    Retry,
    TooLarge,
    Verdict,
    classify,
)
from pyconvex.delivery.breaker import Breaker, Circuit
from pyconvex.delivery.drain import (
    PACE_REFUSALS_AFTER,
    Acknowledge,
    Drain,
    Phase,
    Read,
    Rejected,
    Say,
    Send,
    SetAside,
    Wait,
)
from pyconvex.storage import START, Position, QueueRow

LIMITS = Limits(max_rows=8, max_bytes=400, max_age_s=0.5)
RECEIVER_ROWS = 5
RECEIVER_BYTES = 200

GOOD, POISON, UNENCODABLE, HUGE = "good", "poison", "unencodable", "huge"
FAULTS = ("lose", "late", "hang", "429", "503", "401", "quota")


class Receiver:
    """Accepts each uuid once; refuses poison; limits rows and bytes; fails when told to."""

    def __init__(self) -> None:
        self.accepted: list[int] = []

    def answer(self, request: Request, fault: str | None) -> Verdict:
        match fault:
            case "429":
                return classify(Response(429, {"retry-after": "7"}))
            case "503" | "401":
                return classify(Response(int(fault), {}, b"not now"))
            case "quota":
                return Retry("quota", 60.0)
            case "hang":
                return Retry("no answer within 10 s")
        rows = json.loads(request.body)["rows"]
        if len(rows) > RECEIVER_ROWS or len(request.body) > RECEIVER_BYTES:
            return classify(Response(413, {}, b"too big"))
        if any(row["kind"] == POISON for row in rows):
            return classify(Response(400, {}, b"bad event"))
        self.accepted += [row["uuid"] for row in rows if row["uuid"] not in self.accepted]
        return Accepted() if fault is None else Retry("connection lost")


class Bench:
    """A queue on disk, a drain over it, and the clock."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.limits = limits
        self.now = 0.0
        self.chance = random.Random(7)
        self.receiver = Receiver()
        self.queue: list[QueueRow] = []
        self.uuids: list[int] = []
        self.kinds: dict[int, str] = {}
        self.aside: dict[int, str] = {}
        self.said: list[Say] = []
        self.env = 0
        self.frozen = 0
        self.requests: list[Request] = []
        self.rejected: list[int] = []
        #: The request that must be sent again as it is, and not before when.
        self.owed: tuple[Request, float] | None = None
        self.start()

    def start(self) -> None:
        """A new process: nothing is remembered but the queue."""
        self.breaker = Breaker(self.chance)
        self.drain = Drain(self.limits, self.freeze, self.breaker)
        self.owed = None

    def freeze(self, rows: Sequence[QueueRow]) -> Request:
        body = [json.loads(row.body) for row in rows]
        if any(row["kind"] == UNENCODABLE for row in body):
            raise ValueError("no such shape")
        # Never the same twice, so that a retry shows whether the bytes were kept.
        self.frozen += 1
        made = {"rows": body, "made": self.frozen}
        return Request("POST", f"/{self.env}", (), json.dumps(made).encode())

    def append(self, kinds: Sequence[str], per_commit: int = 2) -> None:
        for number, kind in enumerate(kinds):
            uuid = len(self.uuids)
            self.uuids.append(uuid)
            self.kinds[uuid] = kind
            padding = "x" * RECEIVER_BYTES if kind == HUGE else ""
            body = json.dumps({"uuid": uuid, "kind": kind} | ({"p": padding} if padding else {}))
            ts = 10 + (self.queue[-1].ts if self.queue else len(self.uuids) * 100)
            ts = ts - 10 if number % per_commit and self.queue else ts
            seq = self.queue[-1].seq + 1 if self.queue and self.queue[-1].ts == ts else 0
            self.queue.append(QueueRow(ts, seq, body.encode()))
        self.drain.wake()

    def settings(self, *, complete: bool) -> None:
        self.env += 1
        self.owed = None
        self.drain.settings_changed(complete=complete)

    def step(self) -> Send | Wait:
        """Do everything up to the next request or pause."""
        while True:
            match self.drain.poll(self.now):
                case Send() | Wait() as outcome:
                    return outcome
                case Read(after, max_rows, _):
                    rows = [r for r in self.queue if r.position > after]
                    self.drain.add(rows[:max_rows], more=len(rows) > max_rows, now=self.now)
                case Acknowledge(through):
                    gone = [r for r in self.queue if r.position <= through]
                    assert {self.uuid(r) for r in gone} <= set(self.receiver.accepted)
                    self.queue = self.queue[len(gone) :]
                case SetAside(row, reason):
                    assert self.queue[0] == row, "not at the front"
                    self.aside[self.uuid(self.queue.pop(0))] = reason
                case Rejected(rows):
                    self.rejected.append(rows)
                case Say() as say:
                    self.said.append(say)

    def until_send(self) -> Request | None:
        """Let time pass until a request goes out; None when nothing is left to do."""
        while True:
            match self.step():
                case Send(request):
                    if self.owed is not None:
                        assert request.body == self.owed[0].body, "bytes changed between attempts"
                        assert self.now >= self.owed[1], "came before it was asked to"
                    self.requests.append(request)
                    return request
                case Wait(None):
                    return None
                case Wait(until):
                    assert until is not None
                    assert until > self.now, "a pause that doesn't pause"
                    self.now = until

    def settle(self, request: Request, fault: str | None) -> Verdict:
        verdict = self.receiver.answer(request, fault)
        self.now += 10.0 if fault in ("hang", "late") else 0.1
        self.drain.settle(verdict, self.now)
        self.owed = None
        if isinstance(verdict, Retry):
            self.owed = (request, self.now + (verdict.after_s or 0.0))
        return verdict

    def exchange(self, fault: str | None = None) -> Verdict | None:
        request = self.until_send()
        return None if request is None else self.settle(request, fault)

    def finish(self) -> None:
        """The receiver is well and settings are complete: everything must leave."""
        for _ in range(20 + 20 * len(self.uuids)):
            if self.exchange() is None:
                break
        assert not self.queue
        assert self.drain.in_hand == 0

    def uuid(self, row: QueueRow) -> int:
        return int(json.loads(row.body)["uuid"])


class DrainMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.bench.settings(complete=True)

    kinds = st.lists(
        st.sampled_from([GOOD, GOOD, GOOD, GOOD, POISON, UNENCODABLE, HUGE]), min_size=1, max_size=9
    )

    @rule(kinds=kinds, per_commit=st.integers(1, 4))
    def append(self, kinds: list[str], per_commit: int) -> None:
        self.bench.append(kinds, per_commit)

    @rule(fault=st.none() | st.sampled_from(FAULTS))
    def exchange(self, fault: str | None) -> None:
        self.bench.exchange(fault)

    @rule(fault=st.sampled_from(FAULTS), times=st.integers(4, 9))
    def outage(self, fault: str, times: int) -> None:
        for _ in range(times):
            self.bench.exchange(fault)

    @rule(complete=st.booleans())
    def settings(self, complete: bool) -> None:
        self.bench.settings(complete=complete)

    @rule(fault=st.none() | st.sampled_from(FAULTS), complete=st.booleans())
    def settings_in_flight(self, fault: str | None, complete: bool) -> None:
        request = self.bench.until_send()
        if request is not None:
            self.bench.settings(complete=complete)
            self.bench.settle(request, fault)
            self.bench.owed = None

    @rule(in_flight=st.booleans(), arrived=st.booleans())
    def crash(self, in_flight: bool, arrived: bool) -> None:
        request = self.bench.until_send() if in_flight else None
        if request is not None and arrived:
            self.bench.receiver.answer(request, None)
        self.bench.start()
        self.bench.settings(complete=True)

    @rule(seconds=st.floats(0.0, 5.0))
    def time_passes(self, seconds: float) -> None:
        self.bench.now += seconds

    @precondition(lambda self: self.bench.drain.phase is Phase.PARKED)
    @rule()
    def parked_sends_nothing(self) -> None:
        assert self.bench.step() == Wait(None)

    @invariant()
    def sound(self) -> None:
        self.bench.drain.check()
        assert self.bench.receiver.accepted == sorted(self.bench.receiver.accepted), "order"
        left = {self.bench.uuid(row) for row in self.bench.queue}
        done = set(self.bench.receiver.accepted) | set(self.bench.aside)
        assert left | done == set(self.bench.uuids), "a row is lost"

    def teardown(self) -> None:
        self.bench.settings(complete=True)
        self.bench.drain.wake()
        self.bench.finish()
        expected = [u for u in self.bench.uuids if self.bench.kinds[u] == GOOD]
        assert self.bench.receiver.accepted == expected
        reasons = {POISON: "400", HUGE: "413", UNENCODABLE: "could not be encoded"}
        for uuid in set(self.bench.uuids) - set(expected):
            assert self.bench.aside[uuid].startswith(reasons[self.bench.kinds[uuid]])


DrainMachine.TestCase.settings = settings(max_examples=120, stateful_step_count=30, deadline=None)
TestDrainMachine = DrainMachine.TestCase


def bench(kinds: Sequence[str] = (), limits: Limits = LIMITS) -> Bench:
    made = Bench(limits)
    made.settings(complete=True)
    made.append(kinds)
    return made


def rows_of(request: Request) -> list[int]:
    return [row["uuid"] for row in json.loads(request.body)["rows"]]


class TestBatches:
    def test_rows_wait_for_company_until_they_are_old(self) -> None:
        b = bench([GOOD])
        assert b.step() == Wait(LIMITS.max_age_s)
        b.now = 0.3
        b.append([GOOD])
        assert b.step() == Wait(LIMITS.max_age_s)
        b.now = 0.5
        match b.step():
            case Send(request):
                assert rows_of(request) == [0, 1]
            case other:
                pytest.fail(f"{other}")

    def test_a_full_batch_goes_at_once(self) -> None:
        b = bench([GOOD] * LIMITS.max_rows)
        assert isinstance(b.step(), Send)
        assert b.now == 0.0

    def test_bytes_fill_a_batch_too(self) -> None:
        b = bench([GOOD] * 8, Limits(max_rows=100, max_bytes=70, max_age_s=9.0))
        assert isinstance(b.step(), Send)
        assert b.drain.in_hand == 8
        assert len(b.queue[0].body) * 3 > 70

    def test_nothing_is_read_while_a_request_is_in_flight_or_pausing(self) -> None:
        b = bench([GOOD] * 8)
        request = b.until_send()
        assert request is not None
        b.append([GOOD] * 50)
        assert b.step() == Wait(None)
        b.settle(request, "503")
        assert isinstance(b.step(), Wait)
        assert b.drain.in_hand == 8
        assert b.drain.may_have_more


class TestRetries:
    def test_the_same_bytes_go_out_after_each_failure(self) -> None:
        b = bench([GOOD] * 3)
        for fault in FAULTS:
            b.exchange(fault)
            b.append([GOOD])
        b.exchange()
        assert len({request.body for request in b.requests}) == 1
        assert b.drain.counters.sent == 3
        assert b.drain.counters.failed == len(FAULTS)

    def test_retry_after_is_the_least_pause(self) -> None:
        b = bench([GOOD])
        b.exchange("429")
        match b.step():
            case Wait(until):
                assert until is not None
                assert until >= b.now + 7
            case other:
                pytest.fail(f"{other}")

    def test_an_outage_is_told_twice_and_its_end_once(self) -> None:
        b = bench([GOOD])
        for _ in range(40):
            b.exchange("503")
        b.exchange()
        b.step()
        assert [say.level for say in b.said] == ["warn", "warn", "info"]
        once, opened, again = (say.text for say in b.said)
        assert once.startswith("sending failed (503")
        assert "rows are kept" in once
        assert opened.startswith("sending failed 5 times in a row (503")
        assert again == "delivering again after 40 failed attempts"

    def test_new_settings_end_a_pause_and_make_the_request_anew(self) -> None:
        b = bench([GOOD])
        for _ in range(6):
            b.exchange("401")
        assert b.breaker.circuit is Circuit.OPEN
        b.settings(complete=True)
        before = b.now
        b.exchange()
        assert b.now == before + 0.1
        assert b.requests[-1].url != b.requests[0].url
        assert b.receiver.accepted == [0]

    def test_without_settings_rows_stay_unread(self) -> None:
        b = bench([GOOD])
        b.settings(complete=False)
        assert b.step() == Wait(None)
        assert b.drain.in_hand == 0
        b.settings(complete=True)
        b.finish()
        assert b.receiver.accepted == [0]


class TestDividing:
    def test_poison_is_found_by_halving_and_holds_nothing_up(self) -> None:
        kinds = [GOOD, GOOD, GOOD, POISON, GOOD]
        b = bench(kinds)
        b.finish()
        assert b.receiver.accepted == [0, 1, 2, 4]
        assert b.aside == {3: "400: bad event"}
        assert b.drain.counters.set_aside == 1

    def test_too_large_is_halved_and_remembered(self) -> None:
        b = bench([GOOD] * 24)
        b.finish()
        assert b.receiver.accepted == list(range(24))
        sizes = [len(rows_of(request)) for request in b.requests]
        assert sizes[:3] == [8, 4, 4]
        assert max(sizes[3:]) < 8

    def test_a_row_that_is_too_large_alone_is_set_aside(self) -> None:
        b = bench([HUGE, GOOD])
        b.finish()
        assert b.aside == {0: "413: too big"}
        assert b.receiver.accepted == [1]

    def test_an_answer_to_old_settings_sets_nothing_aside(self) -> None:
        b = bench([POISON])
        request = b.until_send()
        assert request is not None
        b.settings(complete=True)
        b.drain.settle(Refused("400: for the old project"), b.now)
        b.step()
        assert not b.aside
        assert b.drain.in_hand == 1

    def test_a_receiver_that_refuses_everything_does_not_empty_the_queue_in_seconds(self) -> None:
        b = bench([POISON] * 100)
        while len(b.aside) < PACE_REFUSALS_AFTER:
            assert b.exchange() is not None
        quick = b.now
        for _ in range(40):
            b.exchange()
        assert quick < 30
        assert b.now > quick + 120


def test_acknowledged_positions_are_those_of_the_last_row_sent() -> None:
    b = bench([GOOD] * 3)
    request = b.until_send()
    assert request is not None
    b.drain.settle(Accepted(), b.now)
    assert b.drain.poll(b.now) == Acknowledge(b.queue[2].position)
    assert b.queue[0].position > START
    assert Position(1, 5) < Position(2, 0)


def test_what_a_receiver_drops_of_what_it_took_is_counted_and_told_once() -> None:
    b = bench([GOOD] * 3)
    for verdict in (Accepted(2, "too old"), Accepted(9), Accepted(0, "soon gone"), Accepted()):
        request = b.until_send()
        assert request is not None
        b.receiver.accepted += rows_of(request)
        b.drain.settle(verdict, b.now)
        b.step()
        b.append([GOOD] * 3)
    assert b.rejected == [2, 3], "no more than were sent"
    assert b.drain.counters.sent == 12 - 5
    assert b.drain.counters.last_error == "the receiver dropped 3 (it does not say why)"
    (said,) = b.said
    assert said.level == "warn"
    assert "dropped 2 rows" in said.text
    assert "too old" in said.text


def test_a_too_large_answer_counts_as_a_living_receiver() -> None:
    b = bench([GOOD] * 2)
    b.exchange("503")
    request = b.until_send()
    assert request is not None
    b.drain.settle(TooLarge("413"), b.now)
    assert b.breaker.failures == 0
