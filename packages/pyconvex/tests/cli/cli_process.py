"""`pyconvex dev` and `pyconvex start` as processes in a folder of their own."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

from pyconvex.cli import env_local

#: Far more than anything takes, for machines that are busy with something else.
DEADLINE_S = 60.0

APP = """
from typing import Any
from pyconvex import *

@query
async def hello(ctx: QueryCtx, name: str = "you") -> str:
    print("greeting", name)
    return f"hello {name}"

@query
async def token(ctx: QueryCtx) -> str | None:
    return ctx.env.get("TOKEN")

@query
async def who(ctx: QueryCtx) -> str | None:
    return ctx.user_id

@internal_mutation
async def hidden(ctx: MutationCtx, n: int) -> int:
    return n

@mutation
async def fail(ctx: MutationCtx) -> None:
    raise ConvexError({"code": "NO"})
"""


class Running:
    """A command that serves until it is told to stop."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        program = "from pyconvex.cli import main; main(prog_name='pyconvex')"
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={k: v for k, v in os.environ.items() if not k.startswith("CONVEX_")},
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._threads = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.out, True)),
            threading.Thread(target=self._read, args=(self.process.stderr, self.err, False)),
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, pipe: IO[str], kept: list[str], told: bool) -> None:
        with pipe:
            for line in pipe:
                kept.append(line.rstrip("\n"))
                if told:
                    self._lines.put(kept[-1])
        if told:
            self._lines.put(None)

    def wait_for(self, fact: str) -> Any:
        """The value of the next JSON line that tells this."""
        while True:
            line = self._lines.get(timeout=DEADLINE_S)
            assert line is not None, f"ended before it told {fact!r}: {self.err}"
            told = json.loads(line)
            if fact in told:
                return told[fact]

    def stop(self, signal_: int = signal.SIGTERM) -> int:
        """Stop it; its exit status, once all that it printed was read."""
        if self.process.poll() is None:
            self.process.send_signal(signal_)
        return self.ended()

    def ended(self) -> int:
        try:
            status = self.process.wait(DEADLINE_S)
        finally:
            self.process.kill()
            for thread in self._threads:
                thread.join(DEADLINE_S)
        return status

    @property
    def admin_key(self) -> str:
        return env_local.read(self.folder)[env_local.KEY_VARIABLE]
