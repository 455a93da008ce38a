"""The black box of an isolate: memory that is still there when the process is not.

Owns that memory and how entries lie in it; both ends are here, the isolate's, which writes, and the
server's, which reads only when an isolate ended without a word. Never looks into an entry. One
invariant: what is read was written whole, however and whenever the process died.

It has two halves. Entries follow each other in one of them; the first word of the memory says where
they end, and moves only when an entry is there. When a half is full, what belongs to runs under way
goes to the other one, and the word moves with it. What then has no room is counted and left out: of
a run, what it told first is kept.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import tempfile
import threading
import weakref
from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

#: Bytes of a half. A run's lines have at most 8 MiB, its metadata 4. Only what was written to takes
#: memory.
HALF_BYTES = 16 * 1024 * 1024
#: Where the first half begins: the words are before it.
_START = 64
#: When nothing in it counts any more and it took more than this, the memory is given back.
_KEPT_BYTES = 1024 * 1024
#: Length and checksum of the body, run, kind.
_HEADER = struct.Struct("=IIqB")
_HEADER_BYTES = _HEADER.size
_pack = _HEADER.pack
#: Zeros alone, as in memory that was never written to, must not be an entry.
_SALT = 0x5AFEB0B0
#: Where the entries end; how many found no room.
_WORDS = struct.Struct("=QQ")


class Entry(NamedTuple):
    """One thing that a run told."""

    run_id: int
    kind: int
    body: bytes


class Contents(NamedTuple):
    """What a black box holds: entries in order, and how many more found no room."""

    entries: list[Entry]
    left_out: int


class BlackBox:
    """The isolate's end, over the descriptor of a `BoxReader`; one thread uses it."""

    def __init__(self, fd: int) -> None:
        self._half = (os.fstat(fd).st_size - _START) // 2
        self._map = mmap.mmap(fd, 0)
        self._words = memoryview(self._map)[: _WORDS.size].cast("Q")
        self._end, self._limit = _START, _START + self._half
        #: Where what was written since memory was last given back ends.
        self._highest = _START
        #: Runs whose entries count, and whether there are entries of others.
        self._live: set[int] = set()
        self._has_dead = False
        self._words[0], self._words[1] = _START, 0
        _end_with_fork(self)

    def begin(self, run_id: int) -> None:
        """A run has something to tell; until it is forgotten, its entries count."""
        self._live.add(run_id)

    def append(self, run_id: int, kind: int, body: bytes) -> None:
        """Add an entry of a run that has begun, unless there is no room."""
        size = len(body)
        at = self._end
        end = at + _HEADER_BYTES + size
        if end > self._limit:
            if not self._make_room(end - at):
                return
            at, end = self._end, self._end + end - at
        # Before any call: what finalizers print may come in the middle of this, and goes behind it.
        self._end = end
        # As `_framed` does: a call less, as often as something is printed.
        checksum = crc32(body, (run_id << 8 | kind) & 0xFFFFFFFF) ^ _SALT
        self._map[at:end] = _pack(size, checksum, run_id, kind) + body
        self._words[0] = self._end

    def forget(self, run_id: int) -> None:
        """A run is over, and the server knows all that it told."""
        if run_id in self._live:
            self._live.discard(run_id)
            self._has_dead = True
            if not self._live:
                self._clear()

    def _clear(self) -> None:
        self._highest = max(self._highest, self._end)
        self._end, self._limit = _START, _START + self._half
        self._words[0], self._words[1] = _START, 0
        self._has_dead = False
        if self._highest - _START > _KEPT_BYTES and hasattr(mmap, "MADV_REMOVE"):
            self._map.madvise(mmap.MADV_REMOVE, 0, len(self._map))
            self._words[0] = _START
            self._highest = _START

    def _make_room(self, size: int) -> bool:
        """Move what still counts to the other half, if that helps."""
        if self._limit < 0:
            return False  # another process's
        base = self._limit - self._half
        if self._has_dead:
            self._has_dead = False
            self._highest = max(self._highest, self._end)
            written = self._map[base : self._end]
            kept = b"".join(_framed(*each) for each in _parse(written) if each.run_id in self._live)
            base = _START + self._half if base == _START else _START
            self._end, self._limit = base + len(kept), base + self._half
            self._map[base : self._end] = kept
            self._words[0] = self._end
        if self._end + size <= self._limit:
            return True
        self._words[1] += 1
        return False

    def _end_here(self) -> None:
        """In a process that a function forked: its parent's memory is not its own to write to."""
        self._limit = -1
        self._live.clear()


class SharedBlackBox(BlackBox):
    """The same for threads."""

    def __init__(self, fd: int) -> None:
        # Not a plain lock: what finalizers print may come in the middle of an append.
        self._lock = threading.RLock()
        super().__init__(fd)

    def begin(self, run_id: int) -> None:
        with self._lock:
            super().begin(run_id)

    def append(self, run_id: int, kind: int, body: bytes) -> None:
        with self._lock:
            super().append(run_id, kind, body)

    def forget(self, run_id: int) -> None:
        with self._lock:
            super().forget(run_id)

    def _end_here(self) -> None:
        self._lock = threading.RLock()  # whoever held it is not here
        super()._end_here()


class BoxReader:
    """The server's end, and the one that makes the memory. `close` it."""

    def __init__(self, half_bytes: int = HALF_BYTES) -> None:
        self._half = half_bytes
        self.fd = _new_memory()
        os.ftruncate(self.fd, _START + 2 * half_bytes)

    def read(self) -> Contents:
        """What is in it now; also while the process goes on writing, which may cost the last
        entries.
        """
        words = os.pread(self.fd, _WORDS.size, 0)
        if len(words) < _WORDS.size:
            return Contents([], 0)  # whoever has the descriptor may cut it
        end, left_out = _WORDS.unpack(words)
        second = _START + self._half
        base = second if end > second else _START
        if not base <= end <= base + self._half:
            return Contents([], left_out)  # nobody has written yet, or somebody over it
        return Contents(list(_parse(os.pread(self.fd, end - base, base))), left_out)

    def close(self) -> None:
        """Let go of the memory."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _framed(run_id: int, kind: int, body: bytes) -> bytes:
    return _pack(len(body), _checksum(run_id, kind, body), run_id, kind) + body


def _checksum(run_id: int, kind: int, body: bytes) -> int:
    return crc32(body, (run_id << 8 | kind) & 0xFFFFFFFF) ^ _SALT


def _parse(written: bytes) -> Iterator[Entry]:
    """The entries that are whole."""
    at = 0
    while at + _HEADER_BYTES <= len(written):
        length, checksum, run_id, kind = _HEADER.unpack_from(written, at)
        begin = at + _HEADER_BYTES
        at = begin + length
        body = written[begin:at]
        if len(body) == length and _checksum(run_id, kind, body) == checksum:
            yield Entry(run_id, kind, body)


def _new_memory() -> int:
    if hasattr(os, "memfd_create"):
        with contextlib.suppress(OSError):  # some sandboxes have none
            return os.memfd_create("pyconvex-black-box")
    with tempfile.TemporaryFile() as file:  # which has no name any more
        return os.dup(file.fileno())


def _end_with_fork(box: BlackBox) -> None:
    known = weakref.ref(box)

    def end() -> None:
        found = known()
        if found is not None:
            found._end_here()

    os.register_at_fork(after_in_child=end)
