"""The process that serves: its event loop, its garbage collector, and how it is told to stop.

Owns these for `dev` and `start`. Never knows what is served. One invariant: what a user can mend
ends the command with a sentence, not with a traceback.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import click

from pyconvex.database import DatabaseError
from pyconvex.runtime.app.loader import SourceError
from pyconvex.runtime.isolates.template_process import AppLoadError
from pyconvex.runtime.settings.environment import MissingVariablesError
from pyconvex.server import PortTakenError
from pyconvex.server.listening import SHUTDOWN_S
from pyconvex.storage import FolderRefused

#: Thousands of connections are very many objects that live long, and Python's default of 700 new
#: ones looks at them again and again: half of the server's time with 2,000 subscribers. What this
#: lets pile up in between is a few megabytes.
GC_THRESHOLDS = (50_000, 50, 1_000)


#: What a command says when it was asked to end.
STOPPING = f"Stopping: requests under way are finished first, for {SHUTDOWN_S} s at most."


class DataGoneError(Exception):
    """The data folder is not where it was."""


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a server to its end. Raises `ClickException` for what its user can mend."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.INFO)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # tells every save
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # tells every request
    logging.getLogger("uvicorn.error").addFilter(_in_our_words)
    gc.set_threshold(*GC_THRESHOLDS)
    gc.freeze()  # what imports made for good
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(main)
    except (FolderRefused, PortTakenError, SourceError, AppLoadError, DatabaseError,
            MissingVariablesError, DataGoneError) as error:  # fmt: skip
        raise click.ClickException(str(error)) from None


def _in_our_words(record: logging.LogRecord) -> bool:
    """Say what uvicorn's own words leave out: that callers were answered."""
    if record.msg.startswith("Cancel %s running task(s)"):
        record.msg = (
            f"Still busy after {SHUTDOWN_S} s, so cut off: %s connections, whose callers know."
        )
    return True


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's loops where it is installed (not on Windows), the standard ones elsewhere."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def stop_on_signals() -> asyncio.Event:
    """Set by the first signal that asks this process to end."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stopping.set)
    return stopping


def follow_stdin() -> None:
    """Ask this process to stop, in order, once whoever holds the other end of its input is gone."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    with open(os.devnull, "w") as nowhere:  # who would have read what it says is gone as well
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    os.kill(os.getpid(), signal.SIGTERM)
