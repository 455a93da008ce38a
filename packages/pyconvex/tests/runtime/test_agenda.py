"""What starts when: never twice, never too many, never late for want of a look."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from pyconvex.runtime.scheduling.agenda import Agenda, full_jitter_s


class Item(NamedTuple):
    id: str
    due_ms: float


def items(*dues: float) -> list[Item]:
    return [Item(str(n), due) for n, due in enumerate(dues)]


def test_what_is_due_starts_in_order_as_long_as_there_is_a_place() -> None:
    agenda: Agenda[Item] = Agenda(2)
    rows = items(1, 2, 3)
    assert agenda.rows_needed == 3
    start, look_at_ms = agenda.plan(rows, 10)
    assert [item.id for item in start] == ["0", "1"]
    assert look_at_ms is None, "the end of one of them is what to wait for"
    agenda.ended(rows[0])
    assert [item.id for item in agenda.plan(rows[1:], 10).start] == ["2"]


def test_what_is_not_due_says_when_to_look() -> None:
    agenda: Agenda[Item] = Agenda(2)
    assert agenda.plan([], 10) == ([], None)
    rows = items(5, 20, 30)
    start, look_at_ms = agenda.plan(rows, 10)
    assert [item.id for item in start] == ["0"]
    assert look_at_ms == 20
    assert agenda.plan(rows, 10) == ([], 20), "it runs, though it stands in the queue"
    assert [item.id for item in agenda.plan(rows, 20).start] == ["1"]


@given(
    dues=st.lists(st.integers(0, 30), max_size=30).map(sorted),
    parallel=st.integers(1, 4),
    random=st.randoms(use_true_random=False),
)
def test_everything_runs_once_and_as_soon_as_it_can(
    dues: list[int], parallel: int, random: Random
) -> None:
    """A simulation: entries stay in the queue while they run, as mutations do, and end in any
    order; the clock moves only to where the plan says.
    """
    agenda: Agenda[Item] = Agenda(parallel)
    queue = [Item(str(n), float(due)) for n, due in enumerate(dues)]
    running: list[Item] = []
    started: list[tuple[Item, float]] = []
    now_ms = 0.0
    while queue:
        plan = agenda.plan(queue[: agenda.rows_needed], now_ms)
        running += plan.start
        started += [(item, now_ms) for item in plan.start]
        assert len(running) <= parallel
        idle_due = [i for i in queue if i not in running and i.due_ms <= now_ms]
        assert not idle_due or len(running) == parallel
        if running and (plan.look_at_ms is None or random.random() < 0.5):
            done = random.choice(running)
            running.remove(done)
            queue.remove(done)
            agenda.ended(done)
        else:
            assert plan.look_at_ms is not None, "nothing runs and nobody would look again"
            assert plan.look_at_ms > now_ms
            now_ms = plan.look_at_ms
    assert sorted(item.id for item, _ in started) == sorted(str(n) for n in range(len(dues)))
    assert all(at >= item.due_ms for item, at in started)


@given(attempt=st.integers(0, 5_000), random=st.randoms(use_true_random=False))
def test_pauses_are_bounded(attempt: int, random: Random) -> None:
    pause_s = full_jitter_s(attempt, 0.1, 60.0, random)
    assert 0 <= pause_s <= min(60.0, 0.1 * 2.0 ** min(attempt, 64))
