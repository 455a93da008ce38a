"""What no audit event tells: refused in place of the functions themselves.

Owns the table of functions. Never replaces a type, on which others may test. One invariant: outside
of runs each function does what it always did.
"""

from __future__ import annotations

import _thread
import os
import threading
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

import apsw

from pyconvex.runtime.purity.active import RUNS, active
from pyconvex.runtime.purity.files import is_installed
from pyconvex.runtime.purity.patches import Patches
from pyconvex.runtime.purity.refusal import impure, on_own_behalf

_REFUSED = {
    "os": "read write pipe pipe2 times getloadavg wait waitpid mkfifo mknod sendfile",
    "signal": "alarm pause raise_signal set_wakeup_fd setitimer signal sigtimedwait sigwait "
    "siginterrupt pthread_sigmask",
    "select": "select",
    "resource": "getrusage",
    "time": "sleep clock_settime clock_settime_ns tzset",
    "_posixsubprocess": "fork_exec",
}
#: They look at a path.
_LOOKS = "access lstat readlink stat statvfs"


def guard_functions(patches: Patches) -> None:
    """Refuse what has no audit event."""
    for module_name, names in _REFUSED.items():
        module = _module(module_name)
        if module is None:
            continue
        for name in names.split():
            patches.wrap(module, name, _refusing(f"use {module_name}.{name}"))
    for name in _LOOKS.split():
        patches.wrap(os, name, _refusing_looks(f"use os.{name}"))
    for name in ("start_new_thread", "start_new", "start_joinable_thread"):
        patches.wrap(_thread, name, _refusing("use threads"))
    patches.set(threading.Condition, "wait", _refusing_to_wait(threading.Condition.wait))
    apsw.connection_hooks.append(_refuse_connection)
    patches.also(lambda: apsw.connection_hooks.remove(_refuse_connection))


def _module(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ModuleNotFoundError:  # not on this system
        return None


def _refusing(attempt: str) -> Callable[..., Any]:
    def wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **options: Any) -> Any:
            if RUNS and active() is not None and not on_own_behalf():
                raise impure(attempt)
            return original(*args, **options)

        return guarded

    return wrapper


def _refusing_looks(attempt: str) -> Callable[..., Any]:
    def wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(path: Any, *args: Any, **options: Any) -> Any:
            if RUNS and active() is not None and not is_installed(path) and not on_own_behalf():
                raise impure(attempt)
            return original(path, *args, **options)

        return guarded

    return wrapper


def _refusing_to_wait(original: Callable[..., bool]) -> Callable[..., bool]:
    def wait(self: threading.Condition, timeout: float | None = None) -> bool:
        # A timeout of 0 only looks.
        if RUNS and timeout != 0 and active() is not None and not on_own_behalf():
            raise impure("wait for other threads")
        return original(self, timeout)

    return wait


def _refuse_connection(connection: apsw.Connection) -> None:
    if RUNS and active() is not None and not on_own_behalf():
        raise impure("open databases")
