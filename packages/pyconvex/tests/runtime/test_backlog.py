"""Runs that wait: whose turn it is."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyconvex.runtime.isolates import backlog as backlog_module
from pyconvex.runtime.isolates.backlog import WEIGHTS, Backlog
from pyconvex.runtime.isolates.runs import Run, Work
from pyconvex.runtime.processes import messages

MakeRun = Callable[..., Run]
_ids = itertools.count(1)


def make_run(work: Work = Work.CALL, client: str = "a", queued_s: float = 0.0) -> Run:
    loop = asyncio.new_event_loop()
    loop.close()
    start = messages.Start(
        next(_ids), "query", "", "m:f", b"{}", b"", "r", 0.0, b"", True, False, b"", None
    )
    done: asyncio.Future[Any] = asyncio.Future(loop=loop)
    return Run(start, done, work=work, client=client, queued_s=queued_s)


def pops(backlog: Backlog, **options: bool) -> list[Run]:
    return list(iter(lambda: backlog.pop(**options), None))


def test_one_client_is_first_in_first_out() -> None:
    backlog = Backlog()
    runs = [make_run() for _ in range(5)]
    for run in runs:
        backlog.push(run)
    assert backlog.peek() is runs[0]
    assert pops(backlog) == runs
    assert not backlog


def test_clients_take_turns() -> None:
    backlog = Backlog()
    for client in "aaaaab":
        backlog.push(make_run(client=client))
    assert [run.client for run in pops(backlog)] == list("abaaaa")


def test_what_comes_back_goes_first() -> None:
    backlog = Backlog()
    backlog.push(make_run(client="a"))
    back = make_run(client="b")
    backlog.push(make_run(client="b"))
    backlog.push_front(back)
    assert pops(backlog)[0] is back


def test_classes_share_by_weight() -> None:
    backlog = Backlog()
    for work in Work:
        for _ in range(140):
            backlog.push(make_run(work))
    first = [backlog.pop() for _ in range(140)]
    counts = {work: sum(run is not None and run.work is work for run in first) for work in Work}
    assert counts == {Work.CALL: 80, Work.RERUN: 40, Work.SCHEDULED: 10, Work.SUSPECT: 10}


def test_a_class_that_was_idle_gets_no_credit() -> None:
    backlog = Backlog()
    for _ in range(100):
        backlog.push(make_run(Work.CALL))
    for _ in range(50):
        backlog.pop()
    for _ in range(20):
        backlog.push(make_run(Work.RERUN))
    first = [run.work for run in (backlog.pop() for _ in range(12)) if run is not None]
    assert 3 <= first.count(Work.RERUN) <= 5


def test_scheduled_work_can_be_passed_over() -> None:
    backlog = Backlog()
    scheduled = make_run(Work.SCHEDULED)
    backlog.push(scheduled)
    assert backlog.pop(bounded=False) is None
    assert backlog.peek(bounded=False) is None
    assert backlog.pop() is scheduled


def test_calls_expire_and_other_work_does_not() -> None:
    backlog = Backlog()
    old = make_run(queued_s=1.0)
    suspect = make_run(Work.SUSPECT, queued_s=1.0)
    for run in (old, suspect, make_run(queued_s=3.0), make_run(Work.SCHEDULED, queued_s=1.0)):
        backlog.push(run)
    assert backlog.take_calls_queued_before(2.0) == [old, suspect]
    assert len(backlog) == 2


def test_calls_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog_module, "MAX_WAITING_CALLS", 2)
    backlog = Backlog()
    for _ in range(5):
        backlog.push(make_run(Work.RERUN))
    backlog.push(make_run())
    assert not backlog.full
    backlog.push(make_run())
    assert backlog.full


steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(Work), st.sampled_from("abc")),
        st.sampled_from(["pop", "pop calls", "return"]),
    ),
    max_size=80,
)


@settings(max_examples=100, deadline=None)
@given(steps)
def test_nothing_is_lost_repeated_or_starved(steps: list[Any]) -> None:
    backlog = Backlog()
    waiting: list[Run] = []
    popped: Run | None = None
    passed = dict.fromkeys(Work, 0)
    for step in steps:
        match step:
            case "pop" | "pop calls":
                expected = [r for r in waiting if step == "pop" or not r.work.is_bounded]
                seen = backlog.peek(bounded=step == "pop")
                popped = backlog.pop(bounded=step == "pop")
                assert popped is seen
                assert (popped is None) == (not expected)
                if popped is not None:
                    waiting.remove(popped)
                    same = (popped.work, popped.client)
                    ahead = [r for r in waiting if (r.work, r.client) == same]
                    assert all(r.start.run_id > popped.start.run_id for r in ahead)
                    for work in Work:
                        others = any(r.work is work for r in waiting)
                        passed[work] = passed[work] + 1 if others and step == "pop" else 0
                    passed[popped.work] = 0
                    assert all(n <= sum(WEIGHTS.values()) + len(WEIGHTS) for n in passed.values())
            case "return":
                if popped is not None:
                    backlog.push_front(popped)
                    waiting.append(popped)
                    popped = None
            case (work, client):
                waiting.append(make_run(work, client))
                backlog.push(waiting[-1])
        assert len(backlog) == len(waiting)
        assert set(backlog) == set(waiting)
