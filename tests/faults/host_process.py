"""A host in a process of its own, which a test may kill and start again."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

FUNCTIONS = Path(__file__).parent / "convex"
#: Starting processes on a busy machine takes seconds; a test that waits longer has failed.
DEADLINE_S = 30.0


class HostProcess:
    """`pyconvex dev`, then `pyconvex start`, over one data folder."""

    def __init__(self, folder: Path, functions: Path = FUNCTIONS) -> None:
        self._folder = folder
        self._functions = functions
        #: What the host says beside its facts.
        self._log = folder / "host.log"
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def deploy(self, variables: dict[str, str]) -> None:
        """Start, set variables, and wait until the app is deployed."""
        self._spawn("dev", "--no-watch", "--no-codegen", "--functions", str(self._functions))
        changes = [{"name": name, "value": value} for name, value in variables.items()]
        self._post("/api/update_environment_variables", {"changes": changes}, admin=True)
        self._line_with("deployed")

    def start(self) -> None:
        """Start again with what was deployed."""
        self._spawn("start")

    def mutation(self, path: str, **args: Any) -> dict[str, Any]:
        """Run a mutation; the envelope, or `ConnectionError` when the host is gone."""
        return self._post("/api/mutation", {"path": path, "args": args, "format": "json"})

    def query(self, path: str, **args: Any) -> Any:
        """A query's value."""
        return self._post("/api/query", {"path": path, "args": args, "format": "json"})["value"]

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._process is not None
        return self._process.pid

    def call(self, kind: str, path: str, **args: Any) -> dict[str, Any]:
        """Run a function of any kind; the envelope, also of a failure or a refusal."""
        try:
            return self._post(f"/api/{kind}", {"path": path, "args": args, "format": "json"})
        except ConnectionError as error:
            if isinstance(error.__cause__, urllib.error.HTTPError):
                refusal: dict[str, Any] = json.loads(error.__cause__.read())
                return refusal
            raise

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(timeout=DEADLINE_S)

    def close(self) -> None:
        """End the process, if it still runs."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(timeout=DEADLINE_S)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _spawn(self, *command: str) -> None:
        self.close()
        with self._log.open("wb") as log:
            self._process = self._popen(command, log)
        self.url = self._line_with("url")["url"]

    def _popen(self, command: tuple[str, ...], log: IO[bytes]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", "from pyconvex.cli import main; main()", *command,
             "--json", "--port", "0", "--data", str(self._folder / "data")],
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )  # fmt: skip

    def _line_with(self, key: str) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self._process.stdout], [], [], 0.5)
            if ready:
                line = self._process.stdout.readline()
                if not line:
                    raise AssertionError(f"the host ended; it said:\n{self._log.read_text()}")
                facts: dict[str, Any] = json.loads(line)
                if key in facts:
                    return facts
        raise AssertionError(f"the host never told its {key}")

    def _post(self, path: str, body: Any, *, admin: bool = False) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if admin:
            key = (self._folder / "data" / "admin_key").read_text().strip()
            headers["Authorization"] = f"Convex {key}"
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
                content = answer.read()
        except (HTTPException, urllib.error.URLError, ConnectionError, TimeoutError) as error:
            raise ConnectionError(str(error)) from error
        return json.loads(content) if content else {}


def child_pids(pid: int) -> set[int]:
    """The processes that `pid` started and theirs."""
    found: set[int] = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parent = int(Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            if parent == pid:
                found |= {int(entry)} | child_pids(int(entry))
    return found
