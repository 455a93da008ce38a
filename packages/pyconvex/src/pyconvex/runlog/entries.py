"""The entries of a run's record: what lanes over the run log carry, one by one.

Owns their kinds, their order within a record, their ids and places. Never
reads a file. One invariant: an entry's number and id depend on its record alone, so they are the
same however often, by whomever and beside whatever it is read.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha1
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from pyconvex.runlog.exceptions import ExceptionReport
from pyconvex.runlog.record import HOST, RunRecord, encode_record
from pyconvex.runlog.report import Report, decode_value
from pyconvex.storage import Position

#: Every execution; its `value` is None, and all there is to know is in `run`.
EXECUTION = "execution"
#: A log line; `value` is a `LogLine`.
LOG = "log"
#: An error that left its function; `value` is an `ExceptionReport`.
EXCEPTION = "exception"

#: What `ctx.audit` was given; `value` is plain data.
AUDIT = "convex.audit"

_OWN = frozenset({EXECUTION, LOG, EXCEPTION})

_NAMESPACE = uuid.UUID("0d6f7d0c-8f0e-4d7c-9b0a-0b8a3d2f6c55").bytes
#: The digit of a UUID that holds its variant, by the digit of the hash in its place.
_VARIANTS = "89ab" * 4


_Made = TypeVar("_Made")


class RunEntry(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One thing that a run told.

    `kind` is "execution", "log", "exception", or the word that `ctx.report` was given, and `value`
    what belongs to it: None, a `LogLine`, an `ExceptionReport`, or the plain data that was
    reported. Lanes may be given the same object: read it, and change nothing in it.
    """

    kind: str
    #: The same at every attempt to deliver it, and no other entry's: a UUID.
    id: str
    #: The component whose function told it.
    component: str
    value: Any
    #: The run; its `report` has the usage and the person, not the lines and items.
    run: RunRecord

    def once(self, make: Callable[[RunEntry], _Made]) -> _Made:
        """What `make` makes of this entry: made by whoever asks first, and kept for the others.

        For what several lanes send in the same form, and what follows from the entry alone.
        """
        kept: dict[Any, Any] = self.__dict__
        try:
            made: _Made = kept[make]
        except KeyError:
            made = kept[make] = make(self)
        return made


class EntryRow(msgspec.Struct, frozen=True, gc=False):
    """An entry on its way through a lane."""

    position: Position
    entry: RunEntry
    #: Bytes of what the entry tells and of its run, which whoever carries it is bounded by.
    size: int


#: Before the entries of a record that is in no log.
_NOWHERE = Position(0, 0)


class Entries:
    """The entries of one record.

    Each is made when its kind is first asked for, and is the same object for whoever asks later.
    """

    def __init__(self, record: RunRecord, before: Position = _NOWHERE) -> None:
        self._record = record
        #: The record's place, which is the one before its first entry.
        self._before = before
        self._kinds = frozenset(kind for _, kind, _, _ in _numbered(record))
        self._rows: dict[int, EntryRow] = {}
        self._of_kinds: dict[frozenset[str], Sequence[EntryRow]] = {}
        #: The run as entries have it, and its size; made for the first of them.
        self._run: tuple[RunRecord, int] | None = None

    def rows(self, wanted: frozenset[str]) -> Sequence[EntryRow]:
        """Those of the kinds that are wanted, in order."""
        among = self._kinds & wanted
        if not among:
            return ()
        rows = self._of_kinds.get(among)
        if rows is None:
            rows = self._of_kinds[among] = [
                self._rows.get(number) or self._row(number, kind, component, value)
                for number, kind, component, value in _numbered(self._record)
                if kind in among
            ]
        return rows

    def count(self, wanted: frozenset[str], after: int) -> int:
        """How many there are of these kinds after a number."""
        numbered = _numbered(self._record)
        return sum(number > after and kind in wanted for number, kind, _, _ in numbered)

    def _row(self, number: int, kind: str, component: str, value: Any) -> EntryRow:
        run, run_size = self._run or self._alone()
        told, size = _told(kind, value)
        entry = RunEntry(
            kind=kind,
            id=entry_id(run.execution_id, number),
            component=component,
            value=told,
            run=run,
        )
        place = Position(self._before.ts, self._before.seq + number)
        row = self._rows[number] = EntryRow(place, entry, run_size + size)
        return row

    def _alone(self) -> tuple[RunRecord, int]:
        report = self._record.report
        kept = Report(usage=report.usage, user_id=report.user_id, session_id=report.session_id)
        run = replace(self._record, report=kept)
        self._run = run, len(encode_record(run))
        return self._run


def entries_of(record: RunRecord, wanted: frozenset[str]) -> list[RunEntry]:
    """A record's entries of these kinds, in order."""
    return [row.entry for row in Entries(record).rows(wanted)]


def pack(entry: RunEntry) -> bytes:
    """The entry's bytes, for another process that only looks at it."""
    return _encode(entry)


def unpack(body: bytes) -> Any:
    """A packed entry as plain data."""
    return decode_value(body)


def is_own(kind: str) -> bool:
    """Whether a kind is the host's own, so that nobody else may use it.

    >>> is_own("log"), is_own("convex.audit"), is_own("shop.log")
    (True, True, False)
    """
    return kind in _OWN or kind.startswith(("convex.", "host."))


def entry_id(execution_id: str, number: int) -> str:
    """The id of a run's entry, a UUID of version 5.

    >>> entry_id("7c9e6679-7425-40de-944b-e07fc1f90ae7", 1)
    '397bfcda-de02-5b5e-956c-e7b4e585455d'
    """
    # What `uuid.uuid5` does, in a fifth of the time: every line of every stream passes here.
    name = _NAMESPACE + f"{execution_id}:{number}".encode()
    digits = sha1(name, usedforsecurity=False).hexdigest()
    variant = _VARIANTS[int(digits[16], 16)]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


def _numbered(record: RunRecord) -> Iterator[tuple[int, str, str, Any]]:
    """All entries, counted from 1 over all records of the execution: lines, items, the error, and
    the execution as a whole, where it is one; what items and the error tell, as the record has it.
    """
    report = record.report
    number = record.told
    for line in report.lines:
        number += 1
        yield number, LOG, line.component if line.path else record.component, line
    for item in report.items:
        number += 1
        if item.kind not in _OF_HOST:  # else it would be taken for something of another form
            yield number, item.kind, item.component, item.value
    if report.exception:
        number += 1
        yield number, EXCEPTION, record.component, report.exception
    if not record.going_on and record.kind != HOST:
        yield number + 1, EXECUTION, record.component, None


def _told(kind: str, value: Any) -> tuple[Any, int]:
    """What an entry tells, and its bytes."""
    match kind:
        case "log":
            return value, len(value.text) if value.text.isascii() else len(value.text.encode())
        case "execution":
            return None, 0
        case "exception":
            return _decode_exception(value), len(value)
        case _:
            return decode_value(value), len(value)


_OF_HOST = frozenset({EXECUTION, LOG, EXCEPTION})
_encode = msgspec.msgpack.Encoder().encode
_decode_exception = msgspec.msgpack.Decoder(ExceptionReport).decode
