"""Eight of every kind of bad neighbour at once: others are served, and nothing is left behind."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from host_process import DEADLINE_S, HostProcess, child_pids

FUNCTIONS = Path(__file__).parent / "bad_neighbours"

FAILURES = {
    "loop": "Function execution timed out (maximum duration: 1s)",
    "hoard": "Function execution ran out of memory (maximum memory usage: 256 MB)",
    "leave": "The function's process ended before the function did: it exited with status 7.",
    "crash": "The function's process ended before the function did: it crashed (SIGSEGV)",
    "fork": "Can't use os.fork in queries and mutations.",
}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[HostProcess]:
    host = HostProcess(tmp_path, FUNCTIONS)
    try:
        host.deploy({})
        yield host
    finally:
        host.close()


def retried(host: HostProcess, kind: str, path: str, **args: object) -> object:
    """What a client does that is told to come back: it comes back."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        answer = host.call(kind, path, **args)
        if answer.get("code") != "TooManyConcurrentRequests":
            assert answer["status"] == "success", answer
            return answer["value"]
        assert time.monotonic() < deadline


def test_others_are_served_meanwhile(host: HostProcess) -> None:
    with ThreadPoolExecutor(64) as threads:
        blocked = [threads.submit(host.call, "action", "bad:block", n=n) for n in range(8)]
        bad = {
            kind: [threads.submit(host.call, "query", f"bad:{kind}", n=n) for n in range(8)]
            for kind in FAILURES
        }
        talk = [threads.submit(host.call, "query", "bad:talk", n=n) for n in range(2)]
        for n in range(20):
            retried(host, "mutation", "good:write", text=str(n))
            assert retried(host, "query", "good:count", n=n) == n + 1
            assert retried(host, "action", "good:act", n=n) == n + 1
        for kind, answers in bad.items():
            for answer in (future.result() for future in answers):
                if answer.get("code") == "TooManyConcurrentRequests":
                    continue  # the machine was too busy with its neighbours
                assert FAILURES[kind] in answer["errorMessage"]
        for answer in (future.result() for future in talk):
            if answer.get("code") != "TooManyConcurrentRequests":
                assert len(answer["value"]) == 10 << 20
                assert len(answer["logLines"]) == 256
        assert not any(future.done() for future in blocked)
        host.kill()
        for future in blocked:
            assert isinstance(future.exception(), ConnectionError)


def test_nothing_outlives_a_killed_server(host: HostProcess) -> None:
    with ThreadPoolExecutor(16) as threads:
        calls = [threads.submit(host.call, "action", "bad:block", n=n) for n in range(3)]
        calls += [threads.submit(host.call, "query", "bad:loop", n=n) for n in range(3)]
        deadline = time.monotonic() + DEADLINE_S
        pause = threading.Event()
        # Template, lane process, isolates, and what the blocking actions started.
        found: set[int] = set()
        while sum(_name(pid) == "sleep" for pid in found) < 3:
            assert time.monotonic() < deadline
            pause.wait(0.02)
            found = child_pids(host.pid)
        host.kill()
        while alive := [pid for pid in found if _name(pid)]:
            assert time.monotonic() < deadline, f"still there: {[(p, _name(p)) for p in alive]}"
            pause.wait(0.02)
        for call in calls:
            call.exception()


def _name(pid: int) -> str:
    """The name of a process that runs; empty for what is gone, and for zombies."""
    try:
        head, tail = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)
    except OSError:
        return ""
    return "" if tail.split()[0] in ("Z", "X") else head.split("(", 1)[1]


def test_a_pid_that_is_gone_has_no_name() -> None:
    assert _name(os.getpid())
    assert _name(2**22 + 1) == ""
