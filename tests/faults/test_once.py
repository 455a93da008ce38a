"""Every event of every committed mutation arrives once, in order, and none of a rolled-back one.

The faults are real: processes are killed, the receiver is down, answers are lost. The same rules
are tested with random faults on a virtual clock in `packages/pyconvex/tests/delivery`.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from typing import Any

import pytest
from host_process import DEADLINE_S, HostProcess, child_pids

from posthog_local.testing import PostHogLocal


def arrived(local: PostHogLocal) -> list[int]:
    """The numbers of the orders whose event has arrived, in order of arrival."""
    return [
        int(e["properties"]["number"]) for e in local.events(event="order_placed", limit=10_000)
    ]


def wait_for(local: PostHogLocal, numbers: set[int], seconds: float = DEADLINE_S) -> list[int]:
    """What has arrived once all of `numbers` have."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not numbers <= set(seen := arrived(local)):
        missing = sorted(numbers - set(seen))
        assert time.monotonic() < deadline, f"never arrived: {missing[:10]} of {len(numbers)}"
        pause.wait(0.05)
    return seen


def place(host: HostProcess, number: int, customer: str = "ada") -> None:
    answer = host.mutation("orders:place", number=number, customer=customer)
    assert answer["status"] == "success", answer


def test_a_killed_host_delivers_after_its_restart(host: HostProcess, local: PostHogLocal) -> None:
    local.add_fault("/batch", status=503)
    for number in range(20):
        place(host, number)
    host.kill()
    assert arrived(local) == []
    local.clear_faults()
    host.start()
    assert wait_for(local, set(range(20))) == list(range(20))
    assert host.query("orders:numbers") == [float(n) for n in range(20)]


def test_a_lost_answer_is_no_second_event(host: HostProcess, local: PostHogLocal) -> None:
    local.add_fault("/batch", times=2, lose_response=True)
    for number in range(5):
        place(host, number)
    place(host, 99)
    assert Counter(wait_for(local, {*range(5), 99})) == Counter([*range(5), 99])


def test_a_rolled_back_mutation_sends_nothing(host: HostProcess, local: PostHogLocal) -> None:
    failed = host.mutation("orders:place_and_fail", number=1, customer="ada")
    assert failed["status"] == "error"
    place(host, 2)
    assert wait_for(local, {2}) == [2]
    assert host.query("orders:numbers") == [2.0]


def _outage(host: HostProcess, local: PostHogLocal, seconds: float) -> None:
    local.kill()
    for number in range(10):
        place(host, number)
    threading.Event().wait(seconds)  # the outage itself, which is what is tested
    local.restart()
    for number in range(10, 15):
        place(host, number)
    assert wait_for(local, set(range(15)), seconds + DEADLINE_S) == list(range(15))


def test_an_outage_loses_nothing(host: HostProcess, local: PostHogLocal) -> None:
    _outage(host, local, 2.0)


@pytest.mark.long
@pytest.mark.timeout(240)
def test_an_outage_of_a_minute_loses_nothing(host: HostProcess, local: PostHogLocal) -> None:
    _outage(host, local, 60.0)


@pytest.mark.parametrize("kills", [3, pytest.param(30, marks=pytest.mark.long)])
@pytest.mark.timeout(600)
def test_kills_under_load(host: HostProcess, local: PostHogLocal, kills: int) -> None:
    """What was acknowledged is there once; what was not may be there, but never twice."""
    acknowledged: set[int] = set()
    tried = 0
    for _ in range(kills):
        stopping = threading.Event()

        def load(start: int, stop: threading.Event = stopping) -> None:
            for number in range(start, start + 200):
                try:
                    answer: dict[str, Any] = host.mutation(
                        "orders:place", number=number, customer=f"c{start // 200 % 3}"
                    )
                except ConnectionError:
                    return
                if answer["status"] == "success":
                    acknowledged.add(number)
                if stop.is_set():
                    return

        threads = [threading.Thread(target=load, args=(tried + lane * 200,)) for lane in range(3)]
        tried += 600
        before = len(acknowledged)
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + DEADLINE_S
        while len(acknowledged) < before + 30:
            assert time.monotonic() < deadline
            stopping.wait(0.005)
        host.kill()
        for thread in threads:
            thread.join()
        host.start()
    place(host, 999_999)
    seen = wait_for(local, acknowledged | {999_999})
    assert max(Counter(seen).values()) == 1
    stored = {int(n) for n in host.query("orders:numbers")}
    assert acknowledged <= stored
    assert set(seen) == stored
    assert_in_order(local)


def assert_in_order(local: PostHogLocal) -> None:
    """Each customer's events arrived in the order in which their mutations committed.

    One thread at a time places a customer's orders, with growing numbers.
    """
    by_customer: dict[str, list[int]] = {}
    for event in local.events(event="order_placed", limit=10_000):
        number = int(event["properties"]["number"])
        by_customer.setdefault(event["distinct_id"], []).append(number)
    for customer, numbers in by_customer.items():
        assert numbers == sorted(numbers), customer


TROUBLES: list[dict[str, Any]] = [
    {"status": 503, "body": "sink is down"},
    {"status": 429, "body": "slower"},
    {"status": 413},
    {"status": 500},
    {"status": 401, "body": "no"},
    {"lose_response": True},
]
#: These take as long as a request may, or as a quota's pause.
SLOW_TROUBLES: list[dict[str, Any]] = [
    {"hang": True},
    {"status": 200, "body": '{"status":1,"quota_limited":["events"]}'},
]


@pytest.mark.parametrize(
    ("troubles", "rounds", "patience_s"),
    [
        (TROUBLES[:3] + TROUBLES[5:], 1, 60.0),
        pytest.param(TROUBLES + SLOW_TROUBLES, 3, 400.0, marks=pytest.mark.long),
    ],
)
@pytest.mark.timeout(1800)
def test_trouble_after_trouble(
    host: HostProcess,
    local: PostHogLocal,
    troubles: list[dict[str, Any]],
    rounds: int,
    patience_s: float,
) -> None:
    chance = random.Random(rounds)
    number = 0
    for _ in range(rounds):
        for trouble in chance.sample(troubles, len(troubles)):
            times, orders = chance.randint(1, 2), chance.randint(1, 30)
            if trouble.get("status") == 413:
                # Alone in its batch an event that is too large would be set aside, rightly.
                wait_for(local, set(range(number)), patience_s)
                times, orders = 1, 20
            local.add_fault("/batch", times=times, **trouble)
            for _ in range(orders):
                place(host, number, customer=f"c{number % 2}")
                number += 1
            failed = host.mutation("orders:place_and_fail", number=-1, customer="c0")
            assert failed["status"] == "error"
        seen = wait_for(local, set(range(number)), patience_s)
        assert Counter(seen) == Counter(range(number))
    assert_in_order(local)


@pytest.mark.parametrize("kills", [5, pytest.param(60, marks=pytest.mark.long)])
@pytest.mark.timeout(900)
def test_killed_isolates_and_lanes(host: HostProcess, local: PostHogLocal, kills: int) -> None:
    """Any process of the host but the server itself; the server goes on and starts new ones."""
    chance = random.Random(kills)
    answered: set[int] = set()
    stopping = threading.Event()

    def load(lane: int) -> None:
        number = lane * 1_000_000
        while not stopping.is_set():
            number += 1
            answer = host.mutation("orders:place", number=number, customer=f"c{lane}")
            if answer["status"] == "success":
                answered.add(number)

    threads = [threading.Thread(target=load, args=(lane,)) for lane in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(kills):
            before = len(answered)
            deadline = time.monotonic() + DEADLINE_S
            while len(answered) < before + 10:
                assert time.monotonic() < deadline, "the host serves no more"
                stopping.wait(0.005)
            victims = sorted(child_pids(host.pid))
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(victims), signal.SIGKILL)
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    seen = wait_for(local, answered, 60.0)
    assert max(Counter(seen).values()) == 1
    assert set(seen) == {int(n) for n in host.query("orders:numbers")}
    assert_in_order(local)
