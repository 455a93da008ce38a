"""The clock of a run.

Owns what the modules `time` and `datetime` show while a run is active. Never changes what anybody
else sees. One invariant: the wall clock stands still for a whole run, and the clocks that measure
durations stand still in queries.

`time-machine` patches the wall clock's functions below their names, in the interpreter, so that it
doesn't matter who imported them how, or who derived a class from `datetime`.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from pyconvex.runtime.purity.active import (
    RUNS,
    active,
    may_see_clock,
    real_steady_ns,
)
from pyconvex.runtime.purity.patches import Patches


class _Travellers(list[Any]):
    """Whom time-machine asks for the time: the run of this thread, else its own travellers.

    With neither, the lookup fails, on which time-machine gives the real time.
    """

    def __getitem__(self, index: Any) -> Any:
        run = active()
        return run if run is not None else super().__getitem__(index)

    def __bool__(self) -> bool:
        # Or a test that travels would take the patch away with it.
        return True


def guard_clock(patches: Patches) -> None:
    """Freeze the clocks for runs."""
    may_see_clock(logging.LogRecord.__init__.__code__)
    _freeze_wall_clock(patches)
    for name in ("monotonic", "perf_counter"):
        patches.wrap(time, name, _steady(_seconds))
        patches.wrap(time, f"{name}_ns", _steady(int))
    for name in ("process_time", "thread_time"):
        patches.wrap(time, name, _used(0.0))
        patches.wrap(time, f"{name}_ns", _used(0))
    patches.wrap(time, "clock_gettime", _by_clock(_seconds))
    patches.wrap(time, "clock_gettime_ns", _by_clock(int))
    patches.wrap(time, "ctime", _with_default(time.time, (None,)))
    patches.wrap(time, "asctime", _with_default(time.localtime, ()))


def _freeze_wall_clock(patches: Patches) -> None:
    time_machine = _import_time_machine()
    patcher = import_module("_time_machine")
    patches.set(time_machine, "traveller_stack", _Travellers(time_machine.traveller_stack))
    patcher.patch()

    def undo() -> None:
        if not len(time_machine.traveller_stack):
            patcher.unpatch()

    patches.also(undo)


def _import_time_machine() -> Any:
    """The module, without the test framework that it would load where one is installed."""
    blocked = [name for name in ("pytest", "dateutil") if name not in sys.modules]
    for name in blocked:
        sys.modules[name] = None  # type: ignore[assignment]  # the documented way to fail an import
    try:
        return import_module("time_machine")
    finally:
        for name in blocked:
            del sys.modules[name]


def _seconds(ns: int) -> float:
    return ns / 1_000_000_000  # between whole numbers, so rounded once, like time.time


def _steady(shown: Callable[[int], float]) -> Callable[..., Any]:
    def wrapper(original: Callable[[], Any]) -> Callable[[], Any]:
        def clock() -> Any:
            run = active() if RUNS else None
            return original() if run is None else shown(run.steady_ns(real_steady_ns))

        return clock

    return wrapper


def _used(nothing: float) -> Callable[..., Any]:
    """Processor time: none was used in a query."""

    def wrapper(original: Callable[[], Any]) -> Callable[[], Any]:
        def clock() -> Any:
            run = active() if RUNS else None
            return original() if run is None or run.ticking else nothing

        return clock

    return wrapper


def _by_clock(shown: Callable[[int], float]) -> Callable[..., Any]:
    def wrapper(original: Callable[[int], Any]) -> Callable[[int], Any]:
        def clock(clock_id: int, /) -> Any:
            run = active() if RUNS else None
            if run is None or clock_id == time.CLOCK_REALTIME:
                return original(clock_id)
            return shown(run.steady_ns(real_steady_ns))

        return clock

    return wrapper


def _with_default(now: Callable[[], Any], absent: tuple[None, ...]) -> Callable[..., Any]:
    """For functions that read the clock below `time.time` when they get no time."""

    def wrapper(original: Callable[..., str]) -> Callable[..., str]:
        def clock(*moment: Any) -> str:
            if RUNS and moment in ((), absent):
                return original(now())
            return original(*moment)

        return clock

    return wrapper
