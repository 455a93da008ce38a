"""Where `print` and `logging` of app code go: into the log lines of the run under way.

Owns the stand-in for standard output and the logging handler, for a process of their own and for
one that is shared with others' code. Never keeps text itself. One invariant: what is printed while
no run is under way goes where it would have gone without this module.
"""

from __future__ import annotations

import builtins
import io
import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, TextIO

from pyconvex.runlog import LogLines

#: Where `print` and `logging` of the function that runs go; None outside of a run.
CURRENT_LOG: ContextVar[LogLines | None] = ContextVar("pyconvex_current_log", default=None)
_UNAWAITED = re.compile(r"coroutine '(?P<name>.+)' was never awaited")


class RunOutput(io.TextIOBase):
    """Standard output that turns what a run prints into lines of its log."""

    def __init__(self, beside: TextIO, *, echo: bool) -> None:
        #: Takes what is printed outside of runs.
        self.beside = beside
        #: How many `shared_output` blocks use this object.
        self.users = 0
        self.handler = RunHandler()
        self.level_before = logging.NOTSET
        self._echo = echo

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        log = CURRENT_LOG.get()
        if log is None:
            return self.beside.write(text)
        log.write(text)
        if self._echo:
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        self.beside.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.beside, name)


class RunHandler(logging.Handler):
    """Turns logging records into lines of the run under way."""

    _LEVELS = ((logging.ERROR, "error"), (logging.WARNING, "warn"), (logging.INFO, "info"))

    def emit(self, record: logging.LogRecord) -> None:
        log = CURRENT_LOG.get()
        if log is not None:
            level = next((n for at, n in self._LEVELS if record.levelno >= at), "debug")
            try:
                text = self.format(record)
            except Exception as error:  # `logging` raises for no message, however it is made
                text, level = _unformatted(record, error), "error"
            log.add(level, text)


def _unformatted(record: logging.LogRecord, error: Exception) -> str:
    said = f" {record.msg!r}" if isinstance(record.msg, str) else ""
    where = f"{record.pathname}:{record.lineno}"
    return f"{where}: the line{said} could not be logged: {type(error).__name__}: {error}"


def capture_output() -> None:
    """Take over output and logging of this process for good; for isolates."""
    output = RunOutput(sys.stderr, echo=False)
    sys.stdout = output
    builtins.print = _print_in_one(output, builtins.print)
    # The line has its level and its function; with the default format it would say so twice.
    logging.basicConfig(
        handlers=[output.handler], level=logging.INFO, format="%(message)s", force=True
    )
    _tell_what_was_not_awaited()


def _print_in_one(output: RunOutput, plain: Callable[..., None]) -> Callable[..., None]:
    """`print` that writes a line in one piece, where the built-in one makes up to four of it.

    Each would be kept for the case that the process ends before the line does.
    """

    @wraps(plain)
    def print(
        *values: object,
        sep: str | None = " ",
        end: str | None = "\n",
        file: Any = None,
        flush: bool = False,
    ) -> None:
        log = CURRENT_LOG.get()
        if log is not None and file is None and sys.stdout is output:
            sep = " " if sep is None else sep
            end = "\n" if end is None else end
            if isinstance(sep, str) and isinstance(end, str):
                log.write(sep.join(map(str, values)) + end)
                return
        plain(*values, sep=sep, end=end, file=file, flush=flush)

    return print


def _tell_what_was_not_awaited() -> None:
    """A call without its `await` does nothing and returns: that is a line of its run, each time."""
    warnings.filterwarnings("always", _UNAWAITED.pattern, RuntimeWarning)
    show = warnings.showwarning

    def tell(message: Warning | str, category: type[Warning], filename: str, lineno: int,
             file: TextIO | None = None, line: str | None = None) -> None:  # fmt: skip
        found, log = _UNAWAITED.match(str(message)), CURRENT_LOG.get()
        if found is None or log is None:
            show(message, category, filename, lineno, file, line)
            return
        log.add("warn", f"{filename}:{lineno}: `await` is missing: {found['name']} was called and "
                        "did nothing.")  # fmt: skip

    warnings.showwarning = tell


@contextmanager
def shared_output() -> Iterator[None]:
    """Follow output and logging inside the block, and leave both as they were found.

    What runs print is echoed to standard error, so that debuggers and test runners see it too while
    standard output stays the program's own. Blocks may overlap: the first one in installs, the last
    one out removes.
    """
    output = sys.stdout
    if not isinstance(output, RunOutput):
        output = RunOutput(output, echo=True)
        _install(output)
    output.users += 1
    try:
        yield
    finally:
        output.users -= 1
        if not output.users:
            _remove(output)


def _install(output: RunOutput) -> None:
    sys.stdout = output
    root = logging.getLogger()
    root.addHandler(output.handler)
    output.level_before = root.level
    if root.level > logging.INFO:
        root.setLevel(logging.INFO)


def _remove(output: RunOutput) -> None:
    if sys.stdout is output:  # somebody else may have put theirs in front meanwhile
        sys.stdout = output.beside
    root = logging.getLogger()
    root.removeHandler(output.handler)
    if root.level == logging.INFO:
        root.setLevel(output.level_before)
