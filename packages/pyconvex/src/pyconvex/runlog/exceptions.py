"""Errors as values: type, message, frames with their source lines, and what they came from.

Owns the form, and making it from a Python exception. Never decides who is told, and knows no
receiver's format. One invariant: describing an error never raises, whatever its class does, and
what comes out is bounded.
"""

from __future__ import annotations

import linecache
import re
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from types import FrameType, TracebackType
from typing import Any

import msgspec

from pyconvex.runlog.lines import encodable

#: Frames of one error: the outermost and the innermost half of a deep recursion tell enough.
MAX_FRAMES = 64
#: Errors of one report: causes, contexts and members of groups together.
MAX_ERRORS = 32
#: Characters of a message, and of a source line or a variable's repr.
MAX_MESSAGE = 8192
MAX_LINE = 512
#: Notes of one error.
MAX_NOTES = 16
#: Names of variables whose values nobody should read in a report.
_SECRET = re.compile(
    r"pass(word|phrase|wd)|secret|token|credential|auth|cookie|session|private|api_?key", re.I
)
#: Source lines around the one that runs.
CONTEXT_LINES = 5

#: Names the errors of all runs.
_NAMESPACE = uuid.UUID("6f1a5c1e-5d2b-4c8e-9b55-5b1f5a3c0d11")


class Frame(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step of a traceback."""

    file: str
    function: str
    line: int
    #: True for code of the functions folder.
    in_app: bool
    #: The module's name, for the app's own code as its path in the functions folder: `users`,
    #: `shop.orders`.
    module: str = ""
    #: The line that runs, and those around it; empty where the source can't be had.
    source: str = ""
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    #: The variables as `repr` shows them, where that was asked for.
    variables: Mapping[str, str] | None = None


class ExceptionReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error, as its run reports it.

    `id` is the same for the same error object of the same run, so an error that was described by
    hand and then left the function can be told to be one.
    """

    id: str
    #: The class as its author calls it, and its module; "" for builtins.
    type: str
    message: str
    module: str = ""
    #: Outermost call first, the line that raised last.
    frames: tuple[Frame, ...] = ()
    #: Frames left out of the middle.
    frames_omitted: int = 0
    #: What `raise … from` named, else what was being handled unless that was suppressed.
    cause: ExceptionReport | None = None
    #: Whether `cause` was named by `from`.
    cause_named: bool = False
    #: Members of an exception group.
    members: tuple[ExceptionReport, ...] = ()
    notes: tuple[str, ...] = ()
    #: The data of a `ConvexError`, as tagged JSON.
    data: bytes | None = None


class ErrorIds:
    """The ids of one run's errors: by object, in the order in which somebody asked."""

    def __init__(self, execution_id: str) -> None:
        self._execution_id = execution_id
        # The error is kept with its id, or another object could take its place in memory.
        self._known: dict[int, tuple[BaseException, str]] = {}

    def of(self, error: BaseException) -> str:
        """The id of this error; the same again for the same object."""
        known = self._known.get(id(error))
        if known is None:
            made = error_id(self._execution_id, len(self._known))
            known = self._known[id(error)] = (error, made)
        return known[1]

    def adopt(self, error: BaseException, error_id: str) -> None:
        """Let an error have the id of the one that it stands for, which another run raised."""
        self._known[id(error)] = (error, error_id)


def error_id(execution_id: str, number: int = 0) -> str:
    """The id of a run's error.

    >>> error_id("7c9e6679-7425-40de-944b-e07fc1f90ae7")
    'b275e63d-a89c-5b9d-a04d-598cc62a5fa6'
    """
    return str(uuid.uuid5(_NAMESPACE, f"{execution_id}:{number}"))


class Describer:
    """Describes the errors of one run.

    `in_app` tells of a module's name what it is called in the functions folder, None for other
    code. `is_host` tells frames to leave out by their file. `data_of` gives an error's data, as
    tagged JSON. With `variables`, frames of the app show their local variables, but those whose
    names speak of secrets.
    """

    def __init__(
        self,
        ids: ErrorIds,
        *,
        in_app: Callable[[str], str | None] = lambda module: None,
        is_host: Callable[[str], bool] = lambda file: False,
        data_of: Callable[[BaseException], bytes | None] = lambda error: None,
        variables: bool = False,
    ) -> None:
        self._ids = ids
        self._in_app = in_app
        self._is_host = is_host
        self._data_of = data_of
        self._variables = variables

    def describe(self, error: BaseException) -> ExceptionReport:
        """The report of an error."""
        return _Description(self, error).whole


class _Description:
    def __init__(self, describer: Describer, error: BaseException) -> None:
        self._by = describer
        self._seen: set[int] = set()
        self.whole = self._error(error)

    def _error(self, error: BaseException) -> ExceptionReport:
        self._seen.add(id(error))
        frames, omitted = self._frames(error.__traceback__)
        cause, named = self._cause(error)
        module = type(error).__module__
        return ExceptionReport(
            id=self._by._ids.of(error),
            type=type(error).__qualname__,
            module="" if module == "builtins" else self._by._in_app(module) or module,
            message=_text(error),
            frames=frames,
            frames_omitted=omitted,
            cause=cause,
            cause_named=named,
            members=tuple(self._members(error)),
            notes=_notes(error),
            data=_quietly(lambda: self._by._data_of(error)),
        )

    def _cause(self, error: BaseException) -> tuple[ExceptionReport | None, bool]:
        named = error.__cause__ is not None
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None or not self._room_for(cause):
            return None, False
        return self._error(cause), named

    def _members(self, error: BaseException) -> Iterator[ExceptionReport]:
        if isinstance(error, BaseExceptionGroup):
            for member in error.exceptions:
                if self._room_for(member):
                    yield self._error(member)

    def _room_for(self, error: BaseException) -> bool:
        return id(error) not in self._seen and len(self._seen) < MAX_ERRORS

    def _frames(self, tb: TracebackType | None) -> tuple[tuple[Frame, ...], int]:
        steps = [
            (frame, line)
            for frame, line in traceback.walk_tb(tb)
            if not self._by._is_host(frame.f_code.co_filename)
        ]
        omitted = max(0, len(steps) - MAX_FRAMES)
        if omitted:
            half = MAX_FRAMES // 2
            steps = steps[:half] + steps[-half:]
        return tuple(self._frame(frame, line) for frame, line in steps), omitted

    def _frame(self, frame: FrameType, line: int) -> Frame:
        code = frame.f_code
        module = frame.f_globals.get("__name__")
        module = module if isinstance(module, str) else ""
        own = self._by._in_app(module)
        before, source, after = _source(code.co_filename, line)
        shows = self._by._variables and own is not None
        return Frame(
            file=code.co_filename,
            function=code.co_qualname,
            line=line,
            in_app=own is not None,
            module=module if own is None else own,
            source=source,
            before=before,
            after=after,
            variables=_variables(frame.f_locals) if shows else None,
        )


def _source(file: str, line: int) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
    try:
        lines = linecache.getlines(file)
    except Exception:
        lines = []
    if not 0 < line <= len(lines):
        return (), "", ()
    at = min(line - 1, CONTEXT_LINES)
    first = line - 1 - at
    around = lines[first : line + CONTEXT_LINES]
    shown = [encodable(text.rstrip("\n")[:MAX_LINE]) for text in around]
    return tuple(shown[:at]), shown[at], tuple(shown[at + 1 :])


def _variables(values: Mapping[str, Any]) -> dict[str, str]:
    shown = {}
    for name, value in values.items():
        if _SECRET.search(name):
            shown[name] = "<hidden>"
            continue
        text = _quietly(lambda v=value: repr(v))  # type: ignore[misc]  # binds the loop variable
        shown[name] = "<no repr>" if text is None else encodable(text[:MAX_LINE])
    return shown


def _text(error: BaseException) -> str:
    text = _quietly(lambda: str(error))
    if not isinstance(text, str):
        return f"<{type(error).__name__} without a text>"
    return encodable(text[:MAX_MESSAGE])


def _notes(error: BaseException) -> tuple[str, ...]:
    notes = getattr(error, "__notes__", ())
    if not isinstance(notes, (list, tuple)):
        return ()
    texts = [note for note in notes[:MAX_NOTES] if isinstance(note, str)]
    return tuple(encodable(text[:MAX_MESSAGE]) for text in texts)


def _quietly(work: Callable[[], Any]) -> Any:
    """What `work` gives, or None: an error's own code may fail while it is described."""
    try:
        return work()
    except Exception:
        return None
