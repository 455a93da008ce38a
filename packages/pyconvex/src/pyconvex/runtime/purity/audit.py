"""What the interpreter tells before it happens: refused by its audit events.

Owns the table of events and the one hook. Never changes a function. One invariant: outside of runs
the hook does nothing but find that out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pyconvex.runtime.purity.active import RUNS, active
from pyconvex.runtime.purity.files import is_installed, writes
from pyconvex.runtime.purity.patches import Patches
from pyconvex.runtime.purity.refusal import import_time_network, impure, on_own_behalf

#: Events that are refused, by what an author calls the thing.
_NAMED_BY_EVENT = {
    "fcntl": "fcntl flock ioctl lockf",
    "ftplib": "connect",
    "imaplib": "open",
    "os": "chdir chflags chmod chown exec fork forkpty kill killpg link lockf mkdir posix_spawn "
    "remove removexattr rename rmdir setxattr spawn startfile symlink system truncate utime",
    "poplib": "connect",
    "pty": "spawn",
    "resource": "prlimit setrlimit",
    "signal": "pthread_kill",
    "smtplib": "connect",
    "socket": "bind connect getaddrinfo gethostbyaddr gethostbyname gethostname getnameinfo "
    "getservbyname getservbyport sendmsg sendto sethostname",
    "sqlite3": "connect",
    "subprocess": "Popen",
    "syslog": "syslog",
    "webbrowser": "open",
}
_REFUSED = {
    f"{module}.{name}": f"{module}.{name}"
    for module, names in _NAMED_BY_EVENT.items()
    for name in names.split()
} | {
    "builtins.input": "input()",
    "ctypes.dlopen": "ctypes to load a library",
    "http.client.connect": "http.client",
    "mmap.__new__": "mmap",
    "os.putenv": "os.environ to set a variable",
    "os.unsetenv": "os.environ to delete a variable",
    "socket.__new__": "socket.socket",
    "urllib.Request": "urllib.request",
}
#: Events of reaching for the network.
_NETWORK = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}
#: Events of looking at a path.
_LOOKS = {"os.getxattr", "os.listdir", "os.listxattr", "os.scandir"}


class _Hook:
    """The hook; there is no way to take one away, so it is added once and switched."""

    def __init__(self) -> None:
        self.added = False
        #: True while the app is imported by a process of its own.
        self.importing = False
        self.checks: dict[str, Callable[[str, tuple[Any, ...]], None]] = {}

    def add(self) -> None:
        if self.added:
            return
        self.added = True
        checks = self.checks

        def hook(event: str, args: tuple[Any, ...]) -> None:
            if RUNS:
                check = checks.get(event)
                if check is not None and active() is not None:
                    check(event, args)
            elif self.importing and event in _NETWORK and _leaves_machine(event, args):
                raise import_time_network()

        sys.addaudithook(hook)


_hook = _Hook()


@contextmanager
def no_network() -> Iterator[None]:
    """Refuse the network inside the block, where modules of an app are imported."""
    _hook.importing = True
    try:
        yield
    finally:
        _hook.importing = False


def guard_events(patches: Patches) -> None:
    """Refuse what has an audit event."""
    _hook.checks.update(dict.fromkeys(_REFUSED, _refuse))
    _hook.checks.update(dict.fromkeys(_LOOKS, _refuse_look))
    _hook.checks["open"] = _refuse_open
    _hook.add()
    patches.also(_hook.checks.clear)


def _leaves_machine(event: str, args: tuple[Any, ...]) -> bool:
    """Whether an address is one of the network, not a path in the file system."""
    address = args[1] if event in ("socket.connect", "socket.sendto") else args[0]
    return isinstance(address, tuple) or (event.startswith("socket.get") and bool(address))


def _refuse(event: str, args: tuple[Any, ...]) -> None:
    if not on_own_behalf():
        raise impure(f"use {_REFUSED[event]}")


def _refuse_look(event: str, args: tuple[Any, ...]) -> None:
    if not is_installed(args[0]) and not on_own_behalf():
        raise impure(f"use {event}")


def _refuse_open(event: str, args: tuple[Any, ...]) -> None:
    path, mode, flags = args
    attempt = "write files" if writes(mode, flags) else "read files"
    if (attempt == "write files" or not is_installed(path)) and not on_own_behalf():
        raise impure(attempt)
