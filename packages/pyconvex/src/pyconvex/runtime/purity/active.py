"""Whether a pure run is active, and what its clock and randomness give.

Owns the registry that every guard asks. Never refuses anything itself. One invariant: a run is seen
by the thread that executes it, from `begin` to `end`, and by nothing else.

The registry is keyed by thread instead of being a context variable: a run keeps its thread from its
first step to its last, so this is exact, while code can leave a context (`Context().run(…)`), and
the question costs next to nothing where no run is active.
"""

from __future__ import annotations

import random
import sys
import time
from _thread import get_ident
from collections.abc import Callable
from hashlib import shake_256
from types import CodeType
from typing import Any

from pyconvex.runtime.purity import numpy_random

#: The active runs by thread. Guards look at its truth first: it is empty almost everywhere.
RUNS: dict[int, ActiveRun] = {}

#: Code that may look at the clock without the function having looked: what stamps log records.
_CLOCK_KEEPERS: set[CodeType] = set()


class Entropy:
    """The one source of randomness of a run: what is drawn tells nothing about what else is.

    A hash of the seed and a counter. So a token from `secrets` stays one although the document
    that holds it shows its id, and nothing is paid for by the queries that draw nothing.
    """

    __slots__ = ("_drawn", "_seed")

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._drawn = 0

    def randbytes(self, size: int) -> bytes:
        self._drawn += 1
        return shake_256(self._drawn.to_bytes(8, "little") + self._seed).digest(size)

    def getrandbits(self, bits: int) -> int:
        return int.from_bytes(self.randbytes((bits + 7) // 8), "little") & (1 << bits) - 1


class ActiveRun:
    """The clock and randomness of one run; nested calls share them.

    With `ticking`, as in mutations, the clocks that only measure durations go on.
    """

    __slots__ = (
        "_started_ns",
        "_state",
        "borrowed",
        "entropy",
        "made_uuid",
        "now_ns",
        "observed_time",
        "ticking",
    )

    def __init__(self, now_ms: float, entropy: Entropy) -> None:
        self.now_ns = round(now_ms * 1000) * 1000
        self.entropy = entropy
        self.ticking = False
        #: True once the function has looked at a clock.
        self.observed_time = False
        #: True once it has made a uuid that counts on from the last.
        self.made_uuid = False
        #: What `numpy.random` drew from before the run.
        self.borrowed: Any = None
        self._state: random.Random | None = None
        self._started_ns: int | None = None

    @property
    def random(self) -> random.Random:
        """What stands behind the functions of the module `random`.

        Apart from `entropy`, so that `random.seed(…)` leaves ids and uuids alone.
        """
        if self._state is None:
            self._state = random.Random(self.entropy.getrandbits(64))  # noqa: S311
        return self._state

    def time_ns(self) -> int:
        """The frozen wall clock; the patched clock asks it, directly for the code that calls."""
        if sys._getframe(1).f_code not in _CLOCK_KEEPERS:
            self.observed_time = True
        return self.now_ns

    def steady_ns(self, clock: Callable[[], int]) -> int:
        """What a clock that measures durations shows: the frozen time, and with `ticking` what has
        passed since it was first asked.
        """
        self.observed_time = True
        if not self.ticking:
            return self.now_ns
        elapsed_ns = clock()
        if self._started_ns is None:
            self._started_ns = elapsed_ns
        return self.now_ns + elapsed_ns - self._started_ns


def active() -> ActiveRun | None:
    """The run that this thread executes, if it does."""
    return RUNS.get(get_ident()) if RUNS else None


def begin(run: ActiveRun) -> None:
    """From here on, what this thread does is done by the run's function. Pair with `end`."""
    run.borrowed = numpy_random.lend(lambda: run.entropy.getrandbits(32))
    RUNS[get_ident()] = run


def end() -> None:
    """The run of this thread is over."""
    numpy_random.take_back(RUNS.pop(get_ident()).borrowed)


def may_see_clock(code: CodeType) -> None:
    """Let this code look at the clock on the host's behalf."""
    _CLOCK_KEEPERS.add(code)


#: For `steady_ns`, and bound before anybody can replace it.
real_steady_ns = time.monotonic_ns
