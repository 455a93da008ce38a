"""Servers under test: started, asked until ready, stopped.

Owns the processes that a benchmark starts. Never kills by name. Invariant: when `running` is left,
the server and its workers are gone and its folder too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Place:
    """Where a server of a benchmark runs: its own empty folder and a free port."""

    folder: Path
    port: int
    #: The server's process id; 0 while it has not been started.
    pid: int = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Server:
    """How to start one subject, and how to know that it answers."""

    name: str
    command: Callable[[Place], list[str]]
    ready_path: str
    #: What the answer to `ready_path` must hold.
    ready_text: bytes = b""
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Runs before the start, for a data folder that must be filled first.
    prepare: Callable[[Place], None] | None = None
    ready_within_s: float = 60.0


@contextlib.contextmanager
def running(server: Server) -> Iterator[Place]:
    """The server, ready to answer, until the block is left."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        place = Place(Path(folder), free_port())
        if server.prepare is not None:
            server.prepare(place)
        log = place.folder / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                server.command(place),
                cwd=ROOT,
                env={**os.environ, **server.environment, "BENCH_FOLDER": folder},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _wait_ready(server, place, process, log)
            yield replace(place, pid=process.pid)
        finally:
            _stop(process)


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _wait_ready(server: Server, place: Place, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + server.ready_within_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if _answers(f"http://{place.host}{server.ready_path}", server.ready_text):
            return
        time.sleep(0.05)
    said = log.read_text(errors="replace")[-3000:]
    raise SystemExit(f"{server.name} did not become ready; it said:\n{said}")


def _answers(url: str, text: bytes) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return text in answer.read()
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server's own process group: it was started as one."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
