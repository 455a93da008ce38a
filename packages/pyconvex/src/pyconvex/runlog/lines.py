"""The log lines of one run.

Owns their form and their limits. Never writes anywhere: the lines travel with the result. One
invariant: a line as clients get it starts with its level in brackets, because they parse it.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import Any, Protocol

import msgspec

#: Lines of one run; Convex keeps 256 and makes the last an error that says so.
MAX_LINES = 256
#: Bytes of one line, in UTF-8 (Convex's limit in code).
MAX_LINE_BYTES = 32_768

_OVERFLOW = f"Log overflow (maximum {MAX_LINES}). Remaining log lines omitted."
#: The end of a line that was cut.
TRUNCATED = " (truncated due to length)"
#: Characters of a line that is not longer than that, whatever they are.
_SHORT = MAX_LINE_BYTES // 4 - 16
_LEVELS = {"debug": "DEBUG", "info": "INFO", "log": "LOG", "warn": "WARN", "error": "ERROR"}


class LogLine(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One line, and which function of the run's call tree wrote it.

    >>> LogLine("INFO", "it's ready", 0.0).as_client()
    "[INFO] 'it\\\\'s ready'"
    """

    #: DEBUG, INFO, LOG, WARN or ERROR.
    level: str
    text: str
    #: Milliseconds since 1970; queries and mutations see a frozen clock, so do their lines.
    ts_ms: float
    #: The path of the nested function that wrote it; "" for the run's own.
    path: str = ""
    component: str = ""
    #: False for a value that was shown as `repr` shows it, and so has its own quotes.
    is_text: bool = True
    truncated: bool = False
    #: What a warning of the host is about, in Convex's words, such as "warning:TooManyReads".
    code: str = ""

    def shown(self) -> str:
        """The line without its level: a text in quotes, as Convex's clients expect.

        One that was cut ends where it was cut; who prints it adds `TRUNCATED`.
        """
        if self.truncated:
            return self.as_client()[len(self.level) + 3 :].removesuffix(TRUNCATED)
        return _quote(self.text) if self.is_text else self.text

    def as_client(self) -> str:
        """The line as clients get it."""
        line = f"[{self.level}] {_quote(self.text) if self.is_text else self.text}"
        return _truncate(line) if self.truncated else line


class LinesListener(Protocol):
    """Hears of what a run prints and logs, as it comes."""

    def line(self, line: LogLine, printer: int) -> None:
        """A line has come; unless `printer` is 0, it is what pieces of that thread and of the same
        function began.
        """

    def piece(self, path: str, component: str, printer: int, text: str) -> None:
        """A function printed something that ends no line, in a thread."""


class LogLines:
    """Collects lines; nested calls write into the same run through `within`.

    >>> lines = LogLines()
    >>> lines.add("info", "ready")
    >>> lines.within("users:get", "auth").add("log", 3)
    >>> lines.as_list()
    ["[INFO] 'ready'", '[LOG] 3']
    """

    def __init__(
        self,
        now_ms: Callable[[], float] = lambda: 0.0,
        listener: LinesListener | None = None,
    ) -> None:
        #: The run's own lines, of those of a nested call; no reference to itself, which would keep
        #: each run from being forgotten at its end.
        self._outer: LogLines | None = None
        self._path = self._component = ""
        self._now_ms = now_ms
        self._listener = listener
        self._lines: list[LogLine] = []
        #: They come last and know no limit.
        self._host_lines: list[LogLine] = []
        #: Printed, and not yet ended by a line break; for each function that printed, and each
        #: thread, as `print` writes a line and its break one after the other.
        self._open: dict[tuple[LogLines, int], str] = {}

    def within(self, path: str, component: str) -> LogLines:
        """The same lines, for a nested call: what it adds bears its name."""
        nested = LogLines()
        nested._outer, nested._path, nested._component = self._root, path, component
        return nested

    @property
    def _root(self) -> LogLines:
        return self if self._outer is None else self._outer

    def add(self, level: str, message: Any) -> None:
        """Add one line; a text is shown in quotes as Convex's clients expect, like any value."""
        self._add(level, message, 0)

    def _add(self, level: str, message: Any, printer: int) -> None:
        root = self._root
        count = len(root._lines)
        if count >= MAX_LINES:
            return
        if count == MAX_LINES - 1:
            line = _host_line("ERROR", _OVERFLOW, root._now_ms())
        else:
            line = self._line(_LEVELS.get(level, "LOG"), message, root._now_ms())
        root._lines.append(line)
        if root._listener is not None:
            root._listener.line(line, printer)

    def warn_of_limit(self, code: str, text: str) -> None:
        """Add a warning of the host's own, also when the function has used up its lines.

        `code` names the limit, such as "TooManyReads".
        """
        root = self._root
        root._host_lines.append(_host_line("WARN", text, root._now_ms(), f"warning:{code}"))

    def write(self, text: str) -> None:
        """Add what was printed: a line at each line break; what is left over ends with the run."""
        root = self._root
        if len(root._lines) >= MAX_LINES:
            return
        thread = get_ident()
        begun = root._open.pop((self, thread), "") if root._open else ""
        if "\n" in text:
            *lines, text = (begun + text).split("\n")
            for line in lines:
                self._add("log", line, thread if begun else 0)
                begun = ""
        if begun or text:
            self._begin(root, thread, begun, text)

    def _begin(self, root: LogLines, thread: int, begun: str, more: str) -> None:
        """A line has begun, or goes on."""
        if len(begun) > MAX_LINE_BYTES:
            more = ""  # it will be cut anyway
        root._open[self, thread] = begun + more
        if more and root._listener is not None:
            root._listener.piece(self._path, self._component, thread, more)

    def end(self) -> None:
        """A nested call ended: what it printed without a line break comes now."""
        if self._root._open:
            self._root._end_open(of=self)

    def lines(self) -> list[LogLine]:
        """The lines in order, what was printed without a line break last."""
        root = self._root
        root._end_open()
        return [*root._lines, *root._host_lines]

    def as_list(self) -> list[str]:
        """The same, as clients get them."""
        return [line.as_client() for line in self.lines()]

    def _end_open(self, of: LogLines | None = None) -> None:
        """What was printed without a line break is a line now, of all functions or of one."""
        for key in list(self._open):
            log, thread = key
            if of is None or log is of:
                text = self._open.pop(key, None)
                if text is not None:
                    log._add("log", text, thread)

    def _line(self, level: str, message: Any, ts_ms: float) -> LogLine:
        is_text = isinstance(message, str)
        text = encodable(message if is_text else repr(message))
        # A character has at most four bytes, or is one that takes two between quotes: most lines
        # need not be quoted or encoded to be measured.
        truncated = len(text) > _SHORT and _too_long(level, text, is_text=is_text)
        return LogLine(
            level,
            _cut(text, MAX_LINE_BYTES) if truncated else text,
            ts_ms,
            self._path,
            self._component,
            is_text,
            truncated,
        )


def _host_line(level: str, text: str, ts_ms: float, code: str = "") -> LogLine:
    """A sentence of the host's own: without quotes, as Convex shows its own."""
    return LogLine(level, text, ts_ms, is_text=False, code=code)


def _quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _too_long(level: str, text: str, *, is_text: bool) -> bool:
    shown = _quote(text) if is_text else text
    return len(f"[{level}] {shown}".encode()) > MAX_LINE_BYTES


def _truncate(line: str) -> str:
    return _cut(line, MAX_LINE_BYTES - len(TRUNCATED)) + TRUNCATED


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")


def encodable(text: str) -> str:
    """The text with what no encoding can carry replaced.

    >>> encodable("half a \\ud83d pair")
    'half a ? pair'
    """
    return text if text.isascii() else text.encode(errors="replace").decode()
