"""Writing the run log: one thread that takes what has gathered, writes it, and syncs where asked.

Owns the files of one run log and their bounds. Never decides what is written. One invariant: the
log never fails its caller. What the disk refuses is dropped and counted, and what was not promised
to last may be lost in the last second before a power cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pyconvex.runlog import segments
from pyconvex.runlog.reader import segments_in
from pyconvex.runlog.segment_file import SegmentFile
from pyconvex.storage import Position
from pyconvex.storage.durability import SyncCall, sync_data

_LOG = logging.getLogger("pyconvex.runlog")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a run log keeps, and how long it gathers."""

    #: Readers skip over what they don't want, and a whole segment is dropped at once.
    segment_bytes: int = 8 * 1024 * 1024
    #: A segment that was begun so long ago takes no more, so that little traffic ages too.
    segment_age_s: float = 24 * 3600.0
    #: All segments together. A busy deployment's days of errors, or an hour of its every line.
    max_bytes: int = 1024 * 1024 * 1024
    #: As long as queues keep their rows.
    max_age_s: float = 7 * 24 * 3600.0
    #: How long a record that nobody waits for may stay in memory: one write for many runs.
    gather_s: float = 0.02
    #: The longest that written records stay unsynced.
    sync_s: float = 1.0
    #: What may wait for a disk that stands still.
    max_waiting_bytes: int = 64 * 1024 * 1024


class RunLogWriter:
    """Appends records to the run log of one data folder.

    `append` from the event loop; `on_written` is called there after something can be read. `close`
    writes what is left.
    """

    def __init__(
        self,
        folder: Path,
        *,
        bounds: Bounds | None = None,
        now_s: Callable[[], float] = time.time,
        sync: SyncCall = sync_data,
        on_written: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder = folder
        self._bounds = bounds or Bounds()
        self._now_s = now_s
        #: The clock at the start, and a moment that no clock moves.
        self._began = now_s(), time.monotonic()
        self._sync = sync
        self._on_written = on_written
        #: Records that found no room, in memory or on disk.
        self.dropped = 0
        self._changed = threading.Condition()
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._waiters: list[asyncio.Future[None]] = []
        #: True when something that is gathered must last.
        self._pressing = False
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._file: SegmentFile | None = None
        #: The newest segment that there ever was here; the next one has a greater number.
        self._newest = 0
        self._unsynced_since: float | None = None
        #: True from a refusal of the disk until something was written again.
        self.is_refused = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; call it inside the event loop. What a crash tore stays as it is."""
        self._loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            self._newest = max(segments_in(self._folder), default=0)
        self._thread = threading.Thread(target=self._run, name="runlog", daemon=True)
        self._thread.start()

    def append(self, body: bytes, *, lasting: bool) -> asyncio.Future[None] | None:
        """Take a record; with `lasting`, a future that resolves once it would survive a power
        cut, or never will.
        """
        full = self._gathered_bytes + len(body) > self._bounds.max_waiting_bytes
        if full or self._closing:  # nobody would ever be told that it lasts
            self.dropped += 1
            return None
        future = asyncio.get_running_loop().create_future() if lasting else None
        with self._changed:
            first = not self._gathered
            self._gathered.append(segments.frame(body))
            self._gathered_bytes += len(body)
            if future is not None:
                self._waiters.append(future)
                self._pressing = True
            if first or future is not None:
                self._changed.notify()
        return future

    def end_position(self) -> Position:
        """The place after everything that was written so far."""
        with self._changed:
            if self._file is not None:
                return segments.position(self._file.number, self._file.size)
            return segments.position(self._newest, 1 << 40)

    def close(self) -> None:
        """Write and sync what is left, then end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    # The thread

    def _run(self) -> None:
        while True:
            batch, waiters, closing = self._next()
            try:
                if batch:
                    self._write(batch)
                if waiters or closing or self._sync_is_due():
                    self._make_last()
            except Exception:  # whatever it is, nobody may wait for ever
                _LOG.exception("The run log has a fault: what was to be written may be missing.")
            self._tell(waiters, written=bool(batch))
            if closing:
                if self._file is not None:
                    self._file.close()
                return

    def _next(self) -> tuple[list[bytes], list[asyncio.Future[None]], bool]:
        """Wait for something to do, a moment longer when nobody waits for it."""
        with self._changed:
            while not (self._gathered or self._closing):
                if self._unsynced_since is None:
                    self._changed.wait()
                elif not self._changed.wait(self._bounds.sync_s) and self._sync_is_due():
                    return [], [], False
            if not (self._pressing or self._closing):
                self._changed.wait_for(
                    lambda: self._pressing or self._closing, self._bounds.gather_s
                )
            batch, self._gathered = self._gathered, []
            waiters, self._waiters = self._waiters, []
            self._gathered_bytes, self._pressing = 0, False
            return batch, waiters, self._closing

    def _write(self, batch: list[bytes]) -> None:
        while batch:
            try:
                segment = self._segment_for(len(batch[0]))
            except OSError as error:
                self._refused(error, len(batch))
                return
            room = max(self._bounds.segment_bytes - segment.size, len(batch[0]))
            count = _that_fit(batch, room)
            try:
                segment.append(b"".join(batch[:count]))
            except OSError as error:
                self._refused(error, count)
            else:
                self.is_refused = False
                if self._unsynced_since is None:
                    self._unsynced_since = time.monotonic()
            batch = batch[count:]

    def _segment_for(self, size: int) -> SegmentFile:
        """The segment that is written to, a new one when it would become too large."""
        file = self._file
        if file is not None and self._is_full(file, size):
            self._make_last()
            file.close()
            file = self._file = None
        if file is None:
            # By the clock, so that a log whose files were deleted doesn't count from the start.
            number = max(self._newest + 1, int(self._now_s() * 1000))
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = SegmentFile(self._folder, number)
            with self._changed:
                self._newest, self._file = number, file
        return file

    def _is_full(self, file: SegmentFile, size: int) -> bool:
        too_old = self._now_s() - file.number / 1000 > self._bounds.segment_age_s
        return file.broken or too_old or file.size + size > self._bounds.segment_bytes

    def _refused(self, error: OSError, records: int) -> None:
        self.dropped += records
        if not self.is_refused:
            self.is_refused = True
            _LOG.error(
                "The run log can't be written (%s): functions go on, and what they report is "
                "dropped until it can be.",
                error,
            )

    def _sync_is_due(self) -> bool:
        since = self._unsynced_since
        return since is not None and time.monotonic() - since >= self._bounds.sync_s

    def _make_last(self) -> None:
        if self._unsynced_since is None or self._file is None:
            return
        self._unsynced_since = None
        try:
            self._sync(self._file.fd)
        except OSError as error:
            self._file.broken = True  # the kernel may have dropped what was not synced
            self._refused(error, 0)

    def _tell(self, waiters: list[asyncio.Future[None]], *, written: bool) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._told, waiters, written)

    def _told(self, waiters: list[asyncio.Future[None]], written: bool) -> None:
        for future in waiters:
            if not future.done():
                future.set_result(None)
        if written:
            self._on_written()

    # Bounds

    def expired(self) -> list[int]:
        """The segments that are too many or too old, oldest first; never the one in use."""
        sizes = []
        oldest_s = self._believed_now_s() - self._bounds.max_age_s
        for number in segments_in(self._folder):
            with contextlib.suppress(OSError):
                stat = os.stat(self._folder / segments.file_name(number))
                sizes.append((number, stat.st_size, stat.st_mtime))
        total = sum(size for _, size, _ in sizes)
        expired = []
        for number, size, changed_s in sizes:
            in_use = self._file is not None and number >= self._file.number
            if in_use or (total <= self._bounds.max_bytes and changed_s >= oldest_s):
                break
            expired.append(number)
            total -= size
        return expired

    def _believed_now_s(self) -> float:
        """The time, but no later than the start and what has passed since: a clock that is set
        forward must not make old what nobody has read yet.
        """
        began_s, then = self._began
        return min(self._now_s(), began_s + time.monotonic() - then)

    def remove(self, segment: int) -> None:
        """Delete a segment that has expired."""
        with contextlib.suppress(OSError):
            os.unlink(self._folder / segments.file_name(segment))


def _that_fit(batch: list[bytes], room: int) -> int:
    """How many of the first frames have that room together."""
    count = total = 0
    for frame in batch:
        total += len(frame)
        if total > room:
            break
        count += 1
    return count
