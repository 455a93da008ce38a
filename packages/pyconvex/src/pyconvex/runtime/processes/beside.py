"""Starting a process of ours beside the server: for lanes, and for exports.

Owns the command line and the pair of sockets. Never talks over them. One invariant: the child gets
its own end and nothing else of the server's: no other file descriptor, no input.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Protocol


class ChildProcess(Protocol):
    """What a supervisor needs of a process; `asyncio.subprocess.Process` has it."""

    @property
    def pid(self) -> int: ...

    def kill(self) -> None: ...

    async def wait(self) -> int: ...


#: Starts a process; returns it and the server's end of its socket.
Spawn = Callable[[], Awaitable[tuple[ChildProcess, socket.socket]]]


async def spawn(module: str) -> tuple[ChildProcess, socket.socket]:
    """Start `python -m <module> <socket fd> <server pid>`; the server's end is returned beside it.

    Nobody waits for the child or ends it but the caller.
    """
    ours, theirs = socket.socketpair()
    try:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the working folder is the app's: nothing in it may shadow a module of ours
            "-m",
            module,
            str(theirs.fileno()),
            str(os.getpid()),
            pass_fds=(theirs.fileno(),),
            stdin=asyncio.subprocess.DEVNULL,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return child, ours
