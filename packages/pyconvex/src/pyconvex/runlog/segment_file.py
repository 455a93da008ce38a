"""The file that a run log is written to: whole frames, or none of them.

Owns the descriptor, and what is left when the disk refuses. Never knows what it writes, and never
decides when. One invariant: whatever a reader has seen of it stays, or nothing follows it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pyconvex.runlog import segments


class SegmentFile:
    """The file with this number, made new. Raises `OSError`, and leaves none then."""

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        path = folder / segments.file_name(number)
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self.size = 0
        #: True once nothing may follow what stands in it.
        self.broken = False
        try:
            self.append(segments.HEADER)
            _sync_folder(folder)
        except OSError:
            os.close(self.fd)
            path.unlink(missing_ok=True)
            raise

    def append(self, data: bytes) -> None:
        """Write all of it, or raise and leave nothing of it."""
        written = 0
        try:
            while written < len(data):
                written += os.write(self.fd, data[written:])
        except OSError:
            # Readers may have seen whole frames of it: nothing else may come in their place.
            self.broken = written > 0
            with contextlib.suppress(OSError):
                os.ftruncate(self.fd, self.size)
            raise
        self.size += len(data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.fd)


def _sync_folder(folder: Path) -> None:
    """Make a new file's name last as its content will."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
