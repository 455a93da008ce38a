"""Clocks during a run, and for everybody else."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from guarded import NOW_MS

from pyconvex.runtime import purity

Pure = Callable[..., Any]


def test_the_wall_clock_shows_the_start_of_the_run(pure: Pure) -> None:
    assert pure(time.time).value == NOW_MS / 1000
    assert pure(time.time_ns).value == int(NOW_MS) * 1_000_000
    moment = pure(lambda: datetime.now(UTC)).value
    assert moment == datetime.fromtimestamp(NOW_MS / 1000, UTC)


def test_a_run_that_asks_no_clock_has_not_observed_time(pure: Pure) -> None:
    assert not pure(lambda: datetime.fromtimestamp(1, UTC)).observed_time
    assert not pure(lambda: time.gmtime(1)).observed_time


def test_a_log_records_own_stamp_is_not_an_observation(pure: Pure) -> None:
    def logs() -> float:
        return logging.getLogger("purity").makeRecord("x", 20, "f", 1, "hi", (), None).created

    ran = pure(logs)
    assert ran.value == pytest.approx(NOW_MS / 1000, abs=1e-6)  # from nanoseconds since 3.13
    assert not ran.observed_time


def test_durations_are_nothing_in_queries_and_real_in_mutations(pure: Pure) -> None:
    def takes() -> float:
        started = time.perf_counter()
        sum(range(20_000))
        return time.perf_counter() - started

    assert pure(takes).value == 0
    assert 0 < pure(takes, ticking=True).value < 10
    assert pure(time.monotonic, ticking=True).value == NOW_MS / 1000


def test_other_threads_see_the_real_time(pure: Pure) -> None:
    inside, seen, looked = (threading.Lock() for _ in range(3))
    for lock in (inside, seen):
        lock.acquire()
    times: list[float] = []

    def look() -> None:
        inside.acquire()
        times.append(time.time())
        seen.release()

    def run() -> float:
        inside.release()
        with looked:
            seen.acquire()
        return time.time()

    thread = threading.Thread(target=look)
    thread.start()
    assert pure(run).value == NOW_MS / 1000
    thread.join()
    assert times[0] > NOW_MS / 1000 + 1000


def test_tests_that_travel_go_on_travelling(pure: Pure) -> None:
    with time_machine.travel(0, tick=False):
        assert time.time() == 0
        assert pure(time.time).value == NOW_MS / 1000
        assert time.time() == 0
    assert time.time() > NOW_MS / 1000
    assert pure(time.time).value == NOW_MS / 1000


def test_what_was_removed_leaves_the_real_clock() -> None:
    purity.remove()
    stack: list[object] = time_machine.traveller_stack
    assert type(stack) is list
    assert time.monotonic.__name__ == "monotonic"
    assert not hasattr(time.monotonic, "__wrapped__")


def test_the_template_does_not_load_a_test_framework() -> None:
    code = "import sys; from pyconvex.runtime import purity as p; p.install(); "
    code += "print('pytest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
