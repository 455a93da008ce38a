"""Official clients in processes of their own, as tests talk to them.

Owns the processes and the reading of their lines. Never knows what a command means. One invariant:
every wait ends, by an answer or by an error that shows what the client has said so far.
"""

from __future__ import annotations

import itertools
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

#: Longer than anything here takes, also while a client backs off before it comes back.
PATIENCE_S = 40.0

#: Test id -> the command that starts the client's driver.
DRIVERS = {
    "npm-1.48": ("node", str(HERE / "driver.mjs"), "convex"),
    "npm-1.39": ("node", str(HERE / "driver.mjs"), "convex-1.39"),
    "pypi": (sys.executable, str(HERE / "driver.py")),
}


def install_npm_packages() -> None:
    """What the lock file pins, unless it is there; `./run test` has done it already."""
    if not (HERE / "node_modules" / "convex").is_dir():
        npm = ["npm", "ci", "--prefix", str(HERE), "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(npm, check=True, stdin=subprocess.DEVNULL)


class ClientError(Exception):
    """What a client threw at the app that called it."""

    def __init__(self, described: dict[str, Any]) -> None:
        super().__init__(described["message"])
        self.name = described["name"]
        self.data = described.get("data")


class Client:
    """One client process."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE
        )
        self._ids = itertools.count(1)
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        #: True when a wait was in vain; such a client may not answer any more.
        self.stuck = False
        #: Everything that the client said and nobody waited for yet, in order.
        self.said: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def open(self, url: str) -> None:
        """Begin anew, with a deployment that listens there."""
        self.do("open", url=url)
        self.said.clear()

    def start(self, command: str, **fields: Any) -> int:
        """Give a command and don't wait; `outcome` of the number that comes back does."""
        id = next(self._ids)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": id, "command": command, **fields}) + "\n")
        self._process.stdin.flush()
        return id

    def outcome(self, id: int) -> Any:
        """The value that the command gave, in Convex's JSON; raises what the client threw."""
        line = self.wait_for(lambda line: line.get("id") == id)
        if "error" in line:
            raise ClientError(line["error"])
        return line["value"]

    def do(self, command: str, **fields: Any) -> Any:
        """Give a command and wait."""
        return self.outcome(self.start(command, **fields))

    def call(self, command: str, path: str, **args: Any) -> Any:
        """Call a function and wait."""
        return self.do(command, path=path, args=args)

    def seen(self, subscription: str, value: Any) -> None:
        """Wait until a subscription shows this value, in Convex's JSON."""
        self.wait_for(
            lambda line: line.get("subscription") == subscription and line.get("value") == value
        )

    def failed(self, subscription: str) -> ClientError:
        """Wait until a subscription's query fails."""
        line = self.wait_for(
            lambda line: line.get("subscription") == subscription and "error" in line
        )
        return ClientError(line["error"])

    def wait_for(self, wanted: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The next line that fits; lines before it stay in `said`, for others to find."""
        deadline = time.monotonic() + PATIENCE_S
        position = 0
        while True:
            while position < len(self.said):
                if wanted(self.said[position]):
                    return self.said.pop(position)
                position += 1
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                self.stuck = True
                raise AssertionError(f"The client said only: {self.said}") from None
            if line is None:
                raise AssertionError(f"The client ended; it said: {self.said}")
            self.said.append(line)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(0 if self.stuck else 10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put(None)


class PypiClient(Client):
    """A client that has to be asked for each result of a subscription."""

    def seen(self, subscription: str, value: Any) -> None:
        while self.do("next", name=subscription) != value:
            pass

    def failed(self, subscription: str) -> ClientError:
        while True:
            try:
                self.do("next", name=subscription)
            except ClientError as error:
                return error


def new_client(name: str) -> Client:
    """The client with this name in `DRIVERS`, in a new process."""
    return (PypiClient if name == "pypi" else Client)(DRIVERS[name])
