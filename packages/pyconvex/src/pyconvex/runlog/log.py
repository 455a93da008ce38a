"""The run log of a deployment: where every run's record goes.

Owns which records are kept on disk, the newest ones in memory, and the lanes' cursors. Never makes
a record. One invariant: a run that has something to tell is in the log before its outcome leaves
the server, and on the disk for good if it was promised to last.

A run that returned and told nothing is kept in memory only, unless a lane wants every execution:
most queries are such, and they cost the disk nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from pyconvex.runlog.cursors import Cursor, Cursors
from pyconvex.runlog.entries import EXECUTION, unpack
from pyconvex.runlog.reader import count_entries
from pyconvex.runlog.recent import RecentRuns
from pyconvex.runlog.record import HOST, RunRecord, encode_record
from pyconvex.runlog.report import Item, Report, encode_value
from pyconvex.runlog.segments import MAX_BODY_BYTES, position
from pyconvex.runlog.writer import Bounds, RunLogWriter
from pyconvex.storage import START, Position

#: The run log's folder in the data folder.
FOLDER = "runlog"
#: A file in it: entries that nobody would take, a JSON object a line; beyond its bound they are
#: only logged.
SET_ASIDE = "set_aside.jsonl"
MAX_SET_ASIDE_BYTES = 16 * 1024 * 1024
#: Acknowledgements come by the hundred a second, and a file costs more than all else about them.
#: So much of what was delivered comes again after a crash.
SAVE_CURSORS_S = 0.25
#: Why a lane lost entries, for whoever reads what it sends.
SWEPT = "The run log was full, or they were too old."
UNWRITTEN = "The host's disk could not keep them."

_LOG = logging.getLogger("pyconvex.runlog")


class RunLog:
    """The run log in one data folder; `start` it inside the event loop, `close` it at the end."""

    def __init__(
        self,
        data: Path,
        *,
        bounds: Bounds | None = None,
        now_ms: Callable[[], float] = lambda: time.time() * 1000,
        on_written: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder = data / FOLDER
        self.recent = RecentRuns(now_ms)
        self._now_ms = now_ms
        self._cursors = Cursors(self.folder)
        self._on_written = on_written
        self._writer = RunLogWriter(
            self.folder, bounds=bounds, now_s=lambda: now_ms() / 1000, on_written=self._written
        )
        #: The kinds that each lane wants.
        self._lanes: dict[str, frozenset[str]] = {}
        #: Those of them that no component declares.
        self._loose: frozenset[str] = frozenset()
        self._wants_all = False
        #: Until the cursors are saved; None while they are as the lanes have said.
        self._saving: asyncio.TimerHandle | None = None
        #: Records that found no room and were counted as lost by the lanes.
        self._unwritten = 0
        #: Hears which lane lost how many entries, and why.
        self.on_lost: Callable[[str, int, str], None] = lambda lane, lost, reason: None

    def start(self) -> None:
        """Begin to keep records."""
        self._writer.start()

    def close(self) -> None:
        """Write what is left."""
        self._save_cursors()
        self._writer.close()

    def keep(self, record: RunRecord) -> asyncio.Future[None] | None:
        """Take the record of a run that ended; a future when its response has to wait."""
        if record.is_a_look:
            return None
        if record.report.lines or not record.going_on:
            self.recent.add(record)
        if not (self._wants_all or record.tells_something):
            return None
        body = encode_record(record)
        if len(body) > MAX_BODY_BYTES:
            report = record.report
            kept = Report(
                exception=report.exception, user_id=report.user_id, session_id=report.session_id
            )
            body = encode_record(msgspec.structs.replace(record, report=kept))
        return self._writer.append(body, lasting=record.must_last)

    def wants(self, kind: str) -> bool:
        """Whether some lane reads this kind."""
        return any(kind in kinds for kinds in self._lanes.values())

    def tell(self, kind: str, value: Any) -> None:
        """Keep what the host tells of itself, as an entry of this kind, if a lane reads it.

        It goes the way of what runs tell, so that one cursor serves both, in one order.
        """
        if not self.wants(kind):
            return
        now_ms = self._now_ms()
        record = RunRecord(
            ts_ms=now_ms,
            began_ms=now_ms,
            request_id="",
            execution_id=str(uuid.uuid4()),
            kind=HOST,
            path="",
            report=Report(items=(Item(kind, "", encode_value(value)),)),
        )
        self._writer.append(encode_record(record), lasting=False)

    # Lanes

    def set_lanes(self, lanes: Iterable[str], *, loose: bool = False) -> None:
        """These lanes may read the log from now on: all that components declare, or with `loose`
        all others.

        One that is new begins with what is told from now on.
        """
        end = self._writer.end_position()
        others = self._loose if not loose else self._lanes.keys() - self._loose
        given = list(lanes)
        if loose:
            self._loose = frozenset(given)
        self._lanes = {lane: self._lanes.get(lane, frozenset()) for lane in (*others, *given)}
        for lane in given:
            self._cursors.begin(lane, end)
        self._cursors.save()  # lanes that are started now read the file
        self._look_at_wishes()

    def forget(self, lane: str) -> None:
        """A loose lane is gone for good: so is its cursor."""
        self._lanes.pop(lane, None)
        self._loose -= {lane}
        self._cursors.forget(lane)
        self._look_at_wishes()

    def reads(self, lane: str, kinds: Iterable[str]) -> None:
        """A lane reads these kinds."""
        if lane in self._lanes:  # else it is one that has just been taken away
            self._lanes[lane] = frozenset(kinds)
            self._look_at_wishes()

    def cursor(self, lane: str) -> Cursor | None:
        """How far a lane is, and what it lost."""
        return self._cursors.get(lane)

    def lost_by(self, component: str, lane: str) -> int:
        """Entries that a lane, given by its class, will never see."""
        cursors = [
            self._cursors.get(key)
            for key in self._lanes
            if key.startswith(f"{component}|") and key.endswith(f":{lane}")
        ]
        return sum(cursor.dropped for cursor in cursors if cursor is not None)

    def acknowledge(self, lane: str, place: Position) -> None:
        """A lane has delivered everything up to and including this place."""
        if lane in self._lanes:
            self._cursors.advance(lane, place)
            if self._saving is None:
                loop = asyncio.get_running_loop()
                self._saving = loop.call_later(SAVE_CURSORS_S, self._save_cursors)

    def rejected(self, lane: str, entries: int) -> None:
        """A receiver dropped so many entries of a lane: it knows, so the lane is not told."""
        if lane in self._lanes:
            self._cursors.lose(lane, START, entries)

    def set_aside(self, lane: str, body: bytes, reason: str) -> None:
        """Keep an entry that no receiver takes, with the reason, for a person to look at."""
        entry = {"lane": lane, "reason": reason, "entry": unpack(body)}
        line = msgspec.json.encode(entry) + b"\n"
        path = self.folder / SET_ASIDE
        with contextlib.suppress(OSError):
            if not path.exists() or path.stat().st_size + len(line) <= MAX_SET_ASIDE_BYTES:
                with path.open("ab") as file:
                    file.write(line)

    async def sweep(self) -> None:
        """Drop segments that are too many or too old; counts what lanes lose by it."""
        in_thread = asyncio.get_running_loop().run_in_executor
        lost_in_all: Counter[str] = Counter()
        for segment in await in_thread(None, self._writer.expired):
            for lane, kinds in list(self._lanes.items()):
                cursor = self._cursors.get(lane)
                if cursor is None or cursor.position.ts > segment:
                    continue
                after = cursor.position
                lost = await in_thread(None, count_entries, self.folder, kinds, after, segment)
                self._cursors.lose(lane, position(segment + 1, 0), lost)
                lost_in_all[lane] += lost
            await in_thread(None, self._writer.remove, segment)
        for lane, lost in lost_in_all.items():
            if lost:
                _LOG.error(
                    "Lane %s lost %d entries of the run log that it had not delivered: the log is "
                    "full, or they are too old.",
                    lane,
                    lost,
                )
                self.on_lost(lane, lost, SWEPT)

    def count_unwritten(self) -> None:
        """Count as lost by every lane what neither memory nor disk had room for.

        While the disk refuses, it waits: news of a loss would be lost as well.
        """
        if self._writer.is_refused:
            return
        dropped = self._writer.dropped
        lost, self._unwritten = dropped - self._unwritten, dropped
        if not lost:
            return
        for lane in list(self._lanes):
            self._cursors.lose(lane, START, lost)
            self.on_lost(lane, lost, UNWRITTEN)

    def _save_cursors(self) -> None:
        if self._saving is not None:
            self._saving.cancel()
            self._saving = None
        self._cursors.save()

    def _look_at_wishes(self) -> None:
        self._wants_all = any(EXECUTION in kinds for kinds in self._lanes.values())

    def _written(self) -> None:
        if self._lanes:
            self._on_written()
