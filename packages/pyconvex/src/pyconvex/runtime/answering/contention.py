"""Mutations that conflict go one after another, and those that are likely to do so at once.

Owns the lines in which mutations wait, one for each document or range that was fought over, and the
guess which line a call will need. Never decides whether a commit conflicts: a wrong guess costs
time, and nothing else. One invariant: a call stands in one line at a time, so that lines can't
block each other.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable

from pyconvex.database import Conflict, ReadSet, Stretch
from pyconvex.runtime.calls import FunctionCall

#: Guesses kept; the ones that are not used go first.
MAX_GUESSES = 4_096
#: From this confidence on a call queues before it runs.
SURE = 0.5
#: What one conflict adds to the confidence that any call of a function meets the same document
#: or range again; the same call with the same arguments is sure to.
LEARNED = 0.25
#: What is left of a confidence when a call passes without meeting anybody, or was in a line that it
#: had no need of.
KEPT = 0.7


class _Guess:
    """Over what a kind of call was last fought, and how sure it is to be so again."""

    __slots__ = ("contested", "sureness")

    def __init__(self, contested: Stretch) -> None:
        self.contested = contested
        self.sureness = 0.0


class Line:
    """Lets one in at a time, in the order of arrival."""

    def __init__(self, contested: Stretch) -> None:
        self.contested = contested
        self._lock = asyncio.Lock()
        #: Who is in it or waits to be.
        self.length = 0

    async def __aenter__(self) -> None:
        self.length += 1
        try:
            await self._lock.acquire()
        except BaseException:
            self.length -= 1
            raise

    async def __aexit__(self, *_: object) -> None:
        self.length -= 1
        self._lock.release()


class Contention:
    """One host's lines."""

    def __init__(self) -> None:
        self._lines: dict[Stretch, Line] = {}
        self._guesses: OrderedDict[Hashable, _Guess] = OrderedDict()

    def line_for(self, call: FunctionCall) -> Line | None:
        """The line to stand in before a first run; None when no conflict is expected."""
        for kind in (_same(call), _any(call)):
            guess = self._guesses.get(kind)
            if guess is None or guess.sureness < SURE:
                continue
            self._guesses.move_to_end(kind)
            line = self._line(guess.contested)
            if not line.length:
                guess.sureness *= KEPT  # nobody is there: the fight may be over
            return line
        return None

    def conflicted(self, call: FunctionCall, conflict: Conflict) -> Line | None:
        """The line to stand in before running again; None when nobody knows what was fought over:
        the snapshot was too old.
        """
        contested = conflict.contested
        if contested is None:
            return None
        self._learn(_same(call), contested, 1.0)
        self._learn(_any(call), contested, LEARNED)
        return self._line(contested)

    def stood(self, call: FunctionCall, line: Line, reads: bytes) -> None:
        """A call has committed at its first run, in a line that was guessed; so it read.

        Where all calls of a function stand in one line, none passes without: only what they read
        tells that they have no need of it.
        """
        if ReadSet.decode(reads).reaches(line.contested):
            return
        for kind in (_same(call), _any(call)):
            guess = self._guesses.get(kind)
            if guess is not None and guess.contested == line.contested:
                guess.sureness *= KEPT

    def passed(self, call: FunctionCall) -> None:
        """A call without a line has committed at its first run."""
        for kind in (_same(call), _any(call)):
            if (guess := self._guesses.get(kind)) is not None:
                guess.sureness *= KEPT

    def _learn(self, kind: Hashable, contested: Stretch, sureness: float) -> None:
        guess = self._guesses.get(kind)
        if guess is None or guess.contested != contested:
            guess = self._guesses[kind] = _Guess(contested)
        guess.sureness = min(guess.sureness + sureness, 1.0)
        self._guesses.move_to_end(kind)
        if len(self._guesses) > MAX_GUESSES:
            self._guesses.popitem(last=False)

    def _line(self, contested: Stretch) -> Line:
        line = self._lines.get(contested)
        if line is None:
            idle = [key for key, held in self._lines.items() if not held.length]
            for forgotten in idle:
                del self._lines[forgotten]
            line = self._lines[contested] = Line(contested)
        return line


def _same(call: FunctionCall) -> Hashable:
    return call.component, call.path, call.args


def _any(call: FunctionCall) -> Hashable:
    return call.component, call.path
