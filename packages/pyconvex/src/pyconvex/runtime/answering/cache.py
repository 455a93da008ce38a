"""Finished executions of queries, kept for whoever asks the same next.

Owns the entries, their bounds, and what makes two queries the same. Never runs a query and holds no
subscription: an entry is checked against the write log when somebody asks. One invariant: what
`find` returns is true at the newest timestamp.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from pyconvex import identity
from pyconvex.database import OutOfRetention, ReadSet, WriteLog
from pyconvex.runlog import Item
from pyconvex.runtime.calls import FunctionCall, QueryResult, Success

#: Results kept, by number and by bytes of arguments and values.
MAX_ENTRIES = 4096
MAX_BYTES = 64 * 1024 * 1024
#: What an entry costs beside its bytes: objects, keys, read set.
ENTRY_OVERHEAD_BYTES = 1024
#: How long a result that depends on the time is given to others, in seconds (Convex's age).
TIMED_RESULT_AGE_S = 17.0

Key = tuple[object, ...]
Keys = tuple[Key, Key]
"""What makes two queries the same: for every caller, and for one caller."""


@dataclass(frozen=True)
class Execution:
    """One finished execution of a query."""

    result: QueryResult
    #: What it read, packed: most are never asked.
    packed_reads: bytes
    ts: int
    observed_identity: bool
    #: Nobody new gets it later than this, in seconds of the monotonic clock; infinite unless the
    #: function looked at the time.
    good_until_s: float = math.inf
    #: What each further caller's report gets, and the person that the result belongs to.
    offers: tuple[Item, ...] = ()
    user_id: str | None = None
    #: The session that the function named.
    session_id: str | None = None

    @cached_property
    def reads(self) -> ReadSet:
        """What it read."""
        return ReadSet.decode(self.packed_reads)


@dataclass(slots=True)
class _Kept:
    execution: Execution
    #: Up to here the log has been searched for commits that touch what was read.
    checked_ts: int
    size: int


class ResultCache:
    """Executions by query, the least recently used given up first."""

    def __init__(
        self,
        log: WriteLog,
        *,
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._now_s = now_s
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, keys: Keys, newest_ts: int) -> Execution | None:
        """An execution that answers the call of these keys at `newest_ts`, if one is kept."""
        for key in keys:
            kept = self._kept.get(key)
            if kept is None:
                continue
            if self.aged(kept.execution) or not self._still_true(kept, newest_ts):
                self._drop(key)
                continue
            self._kept.move_to_end(key)
            return kept.execution
        return None

    def keep(
        self, call: FunctionCall, keys: Keys, journal: str | None, execution: Execution
    ) -> None:
        """Keep an execution of a call with this journal, for everybody or, where it looked at the
        caller, for this caller.

        Failures are never kept.
        """
        outcome = execution.result.outcome
        if not isinstance(outcome, Success):
            return
        size = len(outcome.value) + len(call.args) + ENTRY_OVERHEAD_BYTES
        self._put(keys[execution.observed_identity], execution, size)
        decided = execution.result.journal
        if decided != journal:
            # Also under the decisions that it made, with which watchers come back.
            decided_keys = keys_of(call, decided)
            self._put(decided_keys[execution.observed_identity], execution, size)
        while len(self._kept) > self._max_entries or self._bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def _put(self, key: Key, execution: Execution, size: int) -> None:
        self._drop(key)
        self._kept[key] = _Kept(execution, execution.ts, size)
        self._bytes += size

    def is_true(self, execution: Execution, newest_ts: int) -> bool:
        """Whether an execution's result holds at `newest_ts`."""
        return self._still_true(_Kept(execution, execution.ts, 0), newest_ts)

    def aged(self, execution: Execution) -> bool:
        """Whether an execution saw a time that is too long ago for whoever asks now.

        Those who watch it keep it: the passing of time wakes nobody.
        """
        return self._now_s() > execution.good_until_s

    def _still_true(self, kept: _Kept, newest_ts: int) -> bool:
        if kept.checked_ts >= newest_ts:
            return True
        try:
            if self._log.first_overlap(kept.execution.reads, kept.checked_ts) is not None:
                return False
        except OutOfRetention:
            return False
        kept.checked_ts = newest_ts
        return True

    def _drop(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= kept.size


def keys_of(call: FunctionCall, journal: str | None) -> Keys:
    """The keys of a call with this journal."""
    shared = (call.component, call.path, call.args, journal, call.public_only)
    return shared, (*shared, identity.encode(call.identity))
