"""Every event of every committed mutation arrives once, and none of a rolled-back one.

The faults are real: processes are killed, the receiver is down, answers are lost.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import pytest
from host_process import DEADLINE_S, HostProcess

from posthog_local.testing import PostHogLocal


def arrived(local: PostHogLocal) -> list[int]:
    """The numbers of the orders whose event has arrived, in order of arrival."""
    return [int(e["properties"]["number"]) for e in local.events(event="order_placed")]


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
                        "orders:place", number=number, customer=f"c{number % 3}"
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
