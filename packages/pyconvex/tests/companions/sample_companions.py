"""Companions for tests: a word in the file `companion.txt` says which of these functions runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from pyconvex.companions import Companion, Idle, Program, Project

FILE = "companion.txt"


def steady() -> None:
    """Tells of itself and stays."""
    print("at", os.environ["CONVEX_SELF_HOSTED_URL"], "in", Path.cwd(), *sys.argv[1:])
    _stay("steady")


def stubborn() -> None:
    """Stays, whoever asks it to end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _stay("stubborn")


def parent() -> None:
    """Starts another process and stays."""
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    _tell("child", child.pid)
    _stay("parent")


def crash() -> None:
    print("I can't")
    sys.exit(3)


def once() -> None:
    """Does its work, and ends."""
    print("done")


def flood() -> None:
    """Prints without an end."""
    _tell("flood", os.getpid())
    while True:
        print("x" * 1000)


def inspect() -> None:
    """Tells how its process is made."""
    argv = Path("/proc/self/cmdline").read_bytes() if sys.platform == "linux" else b""
    key = os.environ["CONVEX_SELF_HOSTED_ADMIN_KEY"]
    print("nice", os.nice(0), "input", repr(sys.stdin.read()), "key", bool(key))
    print("in argv", key.encode() in argv)
    _stay("inspect")


def _stay(name: str) -> None:
    _tell(name, os.getpid())
    while True:
        signal.pause()


def _tell(name: str, pid: int) -> None:
    with Path("pids.txt").open("a") as file:
        file.write(f"{name} {pid}\n")


def told(folder: Path, name: str) -> list[int]:
    """The processes that told of themselves under this name, the newest last."""
    try:
        lines = (folder / "pids.txt").read_text().splitlines()
    except FileNotFoundError:
        return []
    return [int(pid) for who, _, pid in (line.partition(" ") for line in lines) if who == name]


def _program(project: Project) -> Program | Idle:
    match (project.folder / FILE).read_text().split():
        case ["idle"]:
            return Idle(reason="it is told not to")
        case ["bad"]:
            return Idle(reason="the file can't be read", problem=True)
        case ["raise"]:
            raise ValueError("what is this?")
        case [name, every]:
            return Program(run=f"sample_companions:{name}", every_s=float(every))
        case [name]:
            return Program(run=f"sample_companions:{name}", arguments=("--for", "tests"))
    return Idle(reason="it is empty")


SAMPLE = Companion(file=FILE, set_up="write a word into it", program=_program)
NO_COMPANION = 7
