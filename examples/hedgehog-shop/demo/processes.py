"""Child processes that speak JSON lines, and the tools that are started as such.

Owns their lives: what is started here has ended when its block ends. Never knows what the lines
mean. One invariant: no wait is without a deadline.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias

from demo.failure import DemoError

#: How long a step may take before the demo gives up, in seconds: more than a busy machine needs.
PATIENCE_S = 60.0
#: How long a child may take to end once it was asked to, in seconds.
_ENDING_S = 15.0

Line: TypeAlias = dict[str, Any]


class JsonLines:
    """A child process that speaks JSON lines, read by a thread so that waits have deadlines."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        cwd: Path,
        log: IO[str],
        environment: Mapping[str, str] | None,
    ) -> None:
        self.name = name
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            bufsize=1,
            cwd=cwd,
            env=environment,
            # Ctrl-C is for the demo alone, which then ends its children in an order that it knows.
            start_new_session=True,
        )
        self._lines: queue.Queue[Line | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def send(self, **command: Any) -> None:
        """Give the process one command."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")

    def expect(self, what: str, accept: Callable[[Line], bool]) -> Line:
        """The next line that `accept` takes; others before it are passed over."""
        deadline = time.monotonic() + PATIENCE_S
        seen: list[str] = []
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                raise DemoError(f"{self.name} ended while the demo waited for {what}.")
            if accept(line):
                return line
            seen.append(json.dumps(line))
        raise DemoError(
            f"{self.name} did not show {what} within {PATIENCE_S:.0f} s; it showed "
            f"{'; '.join(seen[-3:]) or 'nothing'}."
        )

    def ended(self) -> bool:
        """Whether it is gone, which nobody asked for."""
        return self.process.poll() is not None

    def end(self) -> None:
        """Asks the process to stop, and makes it when it does not."""
        self.process.terminate()
        try:
            self.process.wait(timeout=_ENDING_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                self._lines.put(json.loads(line))
        self._lines.put(None)


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[JsonLines]:
    """A child process for as long as the block lasts; what it says is shown if the demo fails."""
    log_path = folder / f"{name}.log"
    with log_path.open("w") as log:
        child = JsonLines(name, command, folder, log, environment)
        try:
            yield child
        except DemoError as error:
            said = log_path.read_text()[-2000:].strip()
            if said:
                error.add_note(f"{name} said:\n{said}")
            raise
        finally:
            child.end()


def tool(name: str, *arguments: str) -> list[str]:
    """The command line of an installed tool of this environment."""
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        raise DemoError(f"{name} is not installed beside {sys.executable}; use ./run demo.")
    return [str(path), *arguments]
