"""The log lines of one run.

Owns their form and their limits. Never writes anywhere: the lines travel with the result. One
invariant: a line starts with its level in brackets, because official clients parse it.
"""

from __future__ import annotations

from typing import Any

#: Lines of one run; Convex keeps 256 and makes the last an error that says so.
MAX_LINES = 256
#: Bytes of one line, in UTF-8 (Convex's limit in code).
MAX_LINE_BYTES = 32_768

_OVERFLOW = f"[ERROR] 'Log overflow (maximum {MAX_LINES}). Remaining log lines omitted.'"
_TRUNCATED = " (truncated due to length)"
_LEVELS = {"debug", "info", "log", "warn", "error"}


class LogLines:
    """Collects lines as clients get them.

    >>> lines = LogLines()
    >>> lines.add("info", "ready")
    >>> lines.as_list()
    ["[INFO] 'ready'"]
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        #: They come last and know no limit.
        self._host_lines: list[str] = []
        #: Printed, and not yet ended by a line break.
        self._unfinished = ""

    def add(self, level: str, message: Any) -> None:
        """Add one line; a text is shown in quotes as Convex's clients expect, like any value."""
        if level not in _LEVELS:
            level = "log"
        if len(self._lines) >= MAX_LINES:
            return
        if len(self._lines) == MAX_LINES - 1:
            self._lines.append(_OVERFLOW)
            return
        text = _quote(message) if isinstance(message, str) else repr(message)
        self._lines.append(_truncate(f"[{level.upper()}] {text}"))

    def warn_of_limit(self, text: str) -> None:
        """Add a warning of the host's own, also when the function has used up its lines."""
        self._host_lines.append(f"[WARN] {_quote(text)}")

    def write(self, text: str) -> None:
        """Add what was printed: a line at each line break; what is left over ends with the run."""
        *lines, self._unfinished = (self._unfinished + text).split("\n")
        for line in lines:
            self.add("log", line)

    def as_list(self) -> list[str]:
        """The lines in order, what was printed without a line break last."""
        if self._unfinished:
            self.write("\n")
        return [*self._lines, *self._host_lines]


def _quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _truncate(line: str) -> str:
    encoded = line.encode()
    if len(encoded) <= MAX_LINE_BYTES:
        return line
    kept = encoded[: MAX_LINE_BYTES - len(_TRUNCATED)].decode(errors="ignore")
    return kept + _TRUNCATED
