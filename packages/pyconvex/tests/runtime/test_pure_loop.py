"""The loop of queries and mutations: deterministic, and refusing by name."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.runtime.purity.loop import ImpureCallError, NeverSettlesError, new_loop

Main = Callable[[], Coroutine[Any, Any, Any]]


def run(main: Main) -> Any:
    return new_loop().run(main())


@given(st.lists(st.integers(0, 4), max_size=6))
def test_gather_interleaves_the_same_way_each_time(turns: list[int]) -> None:
    def trace() -> list[tuple[int, int]]:
        seen: list[tuple[int, int]] = []

        async def worker(number: int, count: int) -> int:
            for turn in range(count):
                seen.append((turn, number))
                await asyncio.sleep(0)
            return number

        async def main() -> list[int]:
            return list(await asyncio.gather(*(worker(n, c) for n, c in enumerate(turns))))

        assert run(main) == list(range(len(turns)))
        return seen

    first = trace()
    assert first == trace()
    assert first == sorted(first), "first in, first out"


def test_what_asyncio_builds_on_tasks_works() -> None:
    async def main() -> list[str]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        lock, event = asyncio.Lock(), asyncio.Event()

        async def produce() -> None:
            async with lock:
                await queue.put("a")
            event.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(produce(), name="producer")
            group.create_task(event.wait())
        return [await queue.get()]

    assert run(main) == ["a"]


async def sleeps() -> None:
    await asyncio.sleep(1)


async def times_out() -> None:
    async with asyncio.timeout(1):
        await asyncio.sleep(0)


async def reads_the_clock() -> None:
    asyncio.get_running_loop().time()


async def uses_a_thread() -> None:
    await asyncio.to_thread(int)


async def wakes_from_a_thread() -> None:
    asyncio.get_running_loop().call_soon_threadsafe(int)


async def connects() -> None:
    await asyncio.open_connection("127.0.0.1", 1)


async def reads_a_socket() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        asyncio.get_running_loop().add_reader(ours, int)


async def starts_a_program() -> None:
    await asyncio.create_subprocess_exec("true")


async def handles_signals() -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, int)


@pytest.mark.parametrize(
    ("main", "what"),
    [
        (sleeps, "wait for time to pass"),
        (times_out, "wait for time to pass"),
        (reads_the_clock, "wait for time to pass"),
        (uses_a_thread, "use threads"),
        (wakes_from_a_thread, "use threads"),
        (connects, "use "),
        (reads_a_socket, "use add_reader"),
        (starts_a_program, "use "),
        (handles_signals, "use add_signal_handler"),
    ],
)
def test_what_only_actions_may_is_refused_by_name(main: Main, what: str) -> None:
    with pytest.raises(ImpureCallError) as caught:
        run(main)
    place, _, sentence = str(caught.value).partition(": ")
    assert place.startswith(f"{__file__}:")
    assert sentence.startswith(f"Can't {what}")
    assert sentence.endswith("in queries and mutations. Please consider using an action.")


def test_waiting_for_nothing_is_told_and_cleans_up() -> None:
    cleaned = []

    async def main() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cleaned.append(1)

    with pytest.raises(NeverSettlesError, match="will never happen"):
        run(main)
    assert cleaned == [1]


def test_an_error_of_a_task_left_behind_fails_the_run() -> None:
    async def fails() -> None:
        raise ValueError("left behind")

    tasks: list[asyncio.Task[None]] = []

    async def forgets() -> str:
        asyncio.create_task(fails())  # noqa: RUF006  # forgotten on purpose
        return "done"

    with pytest.raises(ValueError, match="left behind"):
        run(forgets)

    async def forgets_and_fails() -> None:
        tasks.append(asyncio.create_task(fails()))
        raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"):
        run(forgets_and_fails)
    assert isinstance(tasks[0].exception(), ValueError)


def test_a_task_left_behind_runs_to_its_end() -> None:
    done = []

    async def later() -> None:
        await asyncio.sleep(0)
        done.append(1)

    async def main() -> None:
        asyncio.create_task(later())  # noqa: RUF006  # forgotten on purpose

    run(main)
    assert done == [1]


def test_the_running_loop_is_what_it_was_before() -> None:
    async def fails() -> None:
        raise ValueError

    async def outer() -> None:
        before = asyncio.get_running_loop()
        for main in (fails, sleeps):
            with pytest.raises((ValueError, ImpureCallError)):
                run(main)
            assert asyncio.get_running_loop() is before
        await asyncio.sleep(0)

    asyncio.run(outer())
    with pytest.raises(ValueError):  # noqa: PT011
        run(fails)
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()
