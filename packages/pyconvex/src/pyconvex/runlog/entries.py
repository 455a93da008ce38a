"""The entries of a run's record: what lanes over the run log carry, one by one.

Owns their kinds, their order within a record, their ids, and the row that stands for one. Never
reads a file. One invariant: an entry's number and id depend on its record alone, so they are the
same however often, by whomever and beside whatever it is read.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha1
from typing import Any

import msgspec
from msgspec.structs import replace

from pyconvex.runlog.exceptions import ExceptionReport
from pyconvex.runlog.lines import LogLine
from pyconvex.runlog.record import RunRecord, decode_record, encode_record
from pyconvex.runlog.report import Report, decode_value

#: Every execution; its `value` is None, and all there is to know is in `run`.
EXECUTION = "execution"
#: A log line; `value` is a `LogLine`.
LOG = "log"
#: An error that left its function; `value` is an `ExceptionReport`.
EXCEPTION = "exception"

#: What `ctx.audit` was given; `value` is plain data.
AUDIT = "convex.audit"

_NAMESPACE = uuid.UUID("0d6f7d0c-8f0e-4d7c-9b0a-0b8a3d2f6c55").bytes
#: The digit of a UUID that holds its variant, by the digit of the hash in its place.
_VARIANTS = "89ab" * 4


class RunEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a run told.

    `kind` is "execution", "log", "exception", or the word that `ctx.report` was given, and `value`
    what belongs to it: None, a `LogLine`, an `ExceptionReport`, or the plain data that was
    reported.
    """

    kind: str
    #: The same at every attempt to deliver it, and no other entry's: a UUID.
    id: str
    #: The component whose function told it.
    component: str
    value: Any
    #: The run; its `report` has the usage and the person, not the lines and items.
    run: RunRecord


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    number: int
    kind: str
    component: str
    #: As msgpack, the same bytes in all rows of a record.
    run: msgspec.Raw
    value: msgspec.Raw


def rows_of(record: RunRecord, wanted: frozenset[str], after: int) -> Iterator[tuple[int, bytes]]:
    """The numbers and packed entries of a record, of the kinds that are wanted, after a number."""
    run: msgspec.Raw | None = None
    for number, kind, component, value in _numbered(record):
        if number <= after or kind not in wanted:
            continue
        if run is None:
            report = record.report
            kept = Report(usage=report.usage, user_id=report.user_id, session_id=report.session_id)
            run = msgspec.Raw(encode_record(replace(record, report=kept)))
        packed = _Packed(number, kind, component, run, msgspec.Raw(value))
        yield number, _encode(packed)


def unpack(body: bytes) -> RunEntry:
    """The entry of a row."""
    packed = _decode(body)
    value: Any = None
    match packed.kind:
        case "log":
            value = _decode_line(packed.value)
        case "exception":
            value = _decode_exception(packed.value)
        case "execution":
            pass
        case _:
            value = decode_value(packed.value)
    run = _run_of(bytes(packed.run))
    return RunEntry(
        kind=packed.kind,
        id=entry_id(run.execution_id, packed.number),
        component=packed.component,
        value=value,
        run=run,
    )


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


@lru_cache(maxsize=64)
def _run_of(packed: bytes) -> RunRecord:
    """The run of a row; those of one record follow each other."""
    return decode_record(packed)


def _numbered(record: RunRecord) -> Iterator[tuple[int, str, str, bytes]]:
    """All entries, counted from 1 over all records of the execution: lines, items, the error, and
    the execution as a whole.
    """
    report = record.report
    number = record.told_lines
    for line in report.lines:
        number += 1
        yield number, LOG, line.component if line.path else record.component, _encode(line)
    for item in report.items:
        number += 1
        yield number, item.kind, item.component, item.value
    if report.exception:
        number += 1
        yield number, EXCEPTION, record.component, report.exception
    if not record.going_on:
        yield number + 1, EXECUTION, record.component, _NIL


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Packed).decode
_decode_line = msgspec.msgpack.Decoder(LogLine).decode
_decode_exception = msgspec.msgpack.Decoder(ExceptionReport).decode
_NIL = _encode(None)
