"""A file: an event a line.

Owns appending, rotation and the bound. Never writes half a line that stays: what a crash tore is
ended before the next line. One invariant: what is acknowledged is on the disk for good.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pyconvex.delivery import Request, Response, Transport, Unreachable
from pyconvex.log_streams.deployment import Deployment
from pyconvex.log_streams.events import StreamEvent
from pyconvex.log_streams.sink import Config, ConfigRefused, Field, NotVerified, Sink

#: The file and the older ones beside it, by default: 6 times 64 MiB.
MAX_BYTES = 64 * 1024 * 1024
KEPT = 5
#: A smaller file would be rotated by every batch.
LEAST_BYTES = 64 * 1024


class FileSink(Sink):
    """Writes events into a file on the machine of the host."""

    stream_type = "file"
    title = "File"
    summary = "Appends events to a file on the host, a JSON object a line; rotates it."
    fields = (
        Field(
            name="path",
            label="Path",
            required=True,
            placeholder="/var/log/pyconvex/events.jsonl",
            help="Absolute, on the machine of the host.",
            required_message="Path is required",
            error_code="InvalidFilePath",
        ),
        Field(
            name="maxBytes",
            label="Bytes a file",
            kind="number",
            default=MAX_BYTES,
            help="A fuller file is renamed to .1, an older one to .2, and so on.",
            error_code="InvalidFileBound",
        ),
        Field(
            name="keep",
            label="Older files kept",
            kind="number",
            default=KEPT,
            error_code="InvalidFileBound",
        ),
    )

    def validate(self, config: Config) -> None:
        path = Path(str(config["path"]))
        if not path.is_absolute() or path.name in ("", "..") or "\0" in str(path):
            raise ConfigRefused("InvalidFilePath", "path must be the absolute path of a file.")
        max_bytes, keep = _bounds(config)
        if max_bytes < LEAST_BYTES:
            raise ConfigRefused("InvalidFileBound", f"maxBytes must be at least {LEAST_BYTES}.")
        if not 0 <= keep <= 100:
            raise ConfigRefused("InvalidFileBound", "keep must be between 0 and 100.")

    def encode(
        self, events: Sequence[StreamEvent], config: Config, deployment: Deployment
    ) -> Request | None:
        origin = b',"convex":' + msgspec.json.encode(deployment) + b"}\n"
        lines = [event.json()[:-1] + _beside(event) + origin for event in events]
        return Request("APPEND", str(config["path"]), (), b"".join(lines))

    async def send(self, request: Request, config: Config, transport: Transport) -> Response:
        try:
            await asyncio.to_thread(append, Path(request.url), request.body, *_bounds(config))
        except OSError as error:
            raise Unreachable(f"{request.url}: {error.strerror or error}") from None
        return Response(200, {})

    async def verify(self, config: Config, deployment: Deployment, transport: Transport) -> None:
        path = Path(str(config["path"]))
        try:
            await asyncio.to_thread(append, path, b"", *_bounds(config))
        except OSError as error:
            raise NotVerified(f"{path} can't be written: {error.strerror or error}.") from None


def _bounds(config: Config) -> tuple[int, int]:
    return int(config.get("maxBytes") or MAX_BYTES), int(_or(config.get("keep"), KEPT))


def _or(value: str | int | float | bool | None, default: int) -> float:
    return default if value is None else float(value)


def _beside(event: StreamEvent) -> bytes:
    """What else is known of the event, for whoever reads the file: names are the host's own."""
    known = {
        "id": event.id,
        "trace_id": event.trace_id,
        "user_id": event.user_id,
        "session_id": event.session_id,
    }
    return b',"pyconvex":' + msgspec.json.encode(known)


def append(path: Path, lines: bytes, max_bytes: int, keep: int) -> None:
    """Append whole lines, for good; rotate first where they find no room.

    Raises `OSError`, and has then appended nothing, unless the machine stops before it can say so.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, size = _opened(path)
    try:
        if size and size + len(lines) > max_bytes:
            os.close(descriptor)
            descriptor = -1
            _rotate(path, keep)
            descriptor, size = _opened(path)
        if size and lines and os.pread(descriptor, 1, size - 1) != b"\n":
            lines = b"\n" + lines
        _write(descriptor, lines, size)
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _opened(path: Path) -> tuple[int, int]:
    """A descriptor that appends, and the file's size."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    return descriptor, os.fstat(descriptor).st_size


def _write(descriptor: int, lines: bytes, size: int) -> None:
    """All of it behind the first `size` bytes, synced; or none, and `OSError`."""
    written = 0
    try:
        while written < len(lines):
            written += os.write(descriptor, lines[written:])
        os.fsync(descriptor)
    except OSError:
        # They come again: what a full disk took of them would stand there twice, and fill it.
        with contextlib.suppress(OSError):
            if written:
                os.ftruncate(descriptor, size)
        raise


def _rotate(path: Path, keep: int) -> None:
    """Make room: `path` becomes `path.1`, and what is older than the number kept goes."""
    if keep == 0:
        path.unlink(missing_ok=True)
        return
    names = [path, *(path.with_name(f"{path.name}.{n}") for n in range(1, keep + 1))]
    for older, newer in zip(reversed(names[1:]), reversed(names[:-1]), strict=True):
        if newer.exists():
            os.replace(newer, older)
