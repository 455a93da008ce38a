"""Executions as the logs page shows them: chosen by a filter, gathered by request.

Owns both. Never waits and never renders. One invariant: what the filter leaves out of an execution
is lines; an error that it shows is whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from pyconvex.runlog import ExceptionReport, LogLine, RunRecord

#: What can be asked for, and how people read it. Each includes what follows.
LEVELS = {
    "": "everything",
    "debug": "lines and errors",
    "info": "info and above",
    "warn": "warnings and errors",
    "error": "errors",
}
_WEIGHTS = {"DEBUG": 0, "INFO": 1, "LOG": 1, "WARN": 2, "ERROR": 3}
_LEAST = {"": -1, "debug": 0, "info": 1, "warn": 2, "error": 3}
_NAMES = {"query": "query", "mutation": "mutation", "action": "action", "http_action": "HTTP"}


class Filter(msgspec.Struct, frozen=True):
    """What of the log somebody wants to see; "" does not choose."""

    level: str = ""
    #: A part of the function's name, component included.
    function: str = ""
    #: A part of a line or error, whatever its case.
    text: str = ""
    #: A request or trace.
    request: str = ""
    #: The person's whole id.
    user: str = ""

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> Filter:
        """The filter in an address."""
        wanted = {name: asked.get(name, "").strip() for name in cls.__struct_fields__}
        if wanted["level"] not in LEVELS:
            wanted["level"] = ""
        return cls(**wanted)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One execution, or what an action told while it goes on, with the lines that are wanted."""

    record: RunRecord
    lines: tuple[LogLine, ...]

    @property
    def function(self) -> str:
        """The function's name, with its component before it."""
        return function_name(self.record.path, self.record.component)

    @property
    def kind(self) -> str:
        """The kind of function, as people read it."""
        return _NAMES.get(self.record.kind, self.record.kind)

    @property
    def outcome(self) -> str:
        """One word: how it ended."""
        record = self.record
        if record.going_on:
            return "running"
        if record.occ is not None:
            return "conflict"
        if record.failed:
            return "failed"
        if record.status:
            return str(record.status)
        return "cached" if record.cached else "ok"

    @property
    def problem(self) -> str:
        """The first line of how it failed."""
        return self.record.error.strip().partition("\n")[0]

    @property
    def exception(self) -> ExceptionReport | None:
        """The error that left the function, where it was described."""
        encoded = self.record.report.exception
        return _decode_exception(encoded) if encoded else None

    @property
    def user(self) -> str:
        """Whose run it was, "" where nobody looked."""
        return self.record.person or ""

    @property
    def trace(self) -> str:
        """The trace of its request."""
        return self.record.trace


class RequestRuns(msgspec.Struct, frozen=True, kw_only=True):
    """What one request caused, as far as it is shown: oldest first."""

    request_id: str
    runs: list[Run]


def chosen(record: RunRecord, wanted: Filter) -> Run | None:
    """The execution with the lines that are wanted; None when the filter leaves it out."""
    if wanted.request not in ("", record.request_id, record.trace):
        return None
    if wanted.user not in ("", record.person or ""):
        return None
    if wanted.function.lower() not in function_name(record.path, record.component).lower():
        return None
    least = _LEAST[wanted.level]
    lines = tuple(line for line in record.report.lines if _WEIGHTS.get(line.level, 1) >= least)
    if least >= 0 and not (lines or record.failed or (record.occ is not None and least <= 2)):
        return None
    if wanted.text and not _says(record, lines, wanted.text.lower()):
        return None
    return Run(record=record, lines=lines)


def by_request(runs: Iterable[Run]) -> list[RequestRuns]:
    """Executions gathered by request; the request that told something last stands first."""
    groups: dict[str, RequestRuns] = {}
    for run in runs:
        id = run.record.request_id
        group = groups.pop(id, None) or RequestRuns(request_id=id, runs=[])
        group.runs.append(run)
        groups[id] = group
    return list(groups.values())[::-1]


def function_name(path: str, component: str) -> str:
    """A function's name on pages.

    >>> function_name("orders:place", ""), function_name("lib:capture", "posthog")
    ('orders:place', 'posthog/lib:capture')
    """
    return f"{component}/{path}" if component else path


def _says(record: RunRecord, lines: tuple[LogLine, ...], text: str) -> bool:
    return text in record.error.lower() or any(text in line.text.lower() for line in lines)


_decode_exception = msgspec.msgpack.Decoder(ExceptionReport).decode
