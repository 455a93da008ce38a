"""A shell in which a test types what a guide says, as a reader would.

Owns one bash process. Never types by itself. One invariant: what it has started ends with it.
"""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

#: Far more than anything takes, for machines that are busy with something else.
DEADLINE_S = 120.0
_DONE = "(done)"


class Terminal:
    """A shell in a folder, which keeps what `cd`, `export` and `activate` did."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def type(self, line: str) -> str:
        """Run a command to its end; what it printed. It must succeed."""
        self._write(f'{line}\necho "{_DONE} $?"\n')
        printed = self._until(re.compile(rf"^{re.escape(_DONE)} (\d+)$"))
        status = printed.pop().split()[-1]
        text = "\n".join(printed)
        assert status == "0", f"{line!r} ended with {status}:\n{text}"
        return text

    def leave_running(self, line: str, shows: str) -> str:
        """Start what runs on until the end, and wait for a line that matches; what it printed."""
        self._write(f"{line}\n")
        return self.shows(shows)

    def shows(self, pattern: str) -> str:
        """Wait for a line that matches; what was printed up to it."""
        return "\n".join(self._until(re.compile(pattern)))

    def close(self) -> None:
        """Press Ctrl-C, and end the shell and what it runs."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        os.killpg(self._process.pid, signal.SIGINT)
        try:
            self._process.wait(DEADLINE_S)
        finally:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._reader.join(DEADLINE_S)

    def _write(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _until(self, pattern: re.Pattern[str]) -> list[str]:
        seen: list[str] = []
        deadline = time.monotonic() + DEADLINE_S
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=left)
            except queue.Empty:
                break
            assert line is not None, f"the shell ended before {pattern.pattern!r}: {seen}"
            seen.append(line)
            if pattern.search(line):
                return seen
        raise AssertionError(f"{pattern.pattern!r} was not shown in time, but {seen}")
