"""The whole project as lines of JSON, and back.

Owns that format: a heading, then one line a row, `{"table": …, "row": {column: value}}`, where JSON
columns stand as JSON and bytes as {"base64": …}. A dump is of one commit. Invariant: importing a
dump into an empty project gives the project it was made of, or changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, Any

import apsw
import msgspec

from posthog_local.store import schema
from posthog_local.store.transaction import Transaction
from posthog_local.store.writer import Job

_KIND = "posthog-local dump"
_JSON_COLUMNS = frozenset(
    ["properties", "definition", "details", "attributes", "resource_attributes"]
)
_TABLES = (*schema.DATA_TABLES, *schema.FLAG_TABLES)
_encode = msgspec.json.Encoder().encode


class InvalidDump(Exception):
    """The lines are no dump, or not one that fits here; the message says why. Nothing changed."""


class _Heading(msgspec.Struct, frozen=True):
    kind: str
    format: int


class _Line(msgspec.Struct, frozen=True):
    table: str
    row: dict[str, msgspec.Raw]


class _Bytes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    base64: bytes


def write(connection: apsw.Connection, output: IO[bytes]) -> None:
    """Writes every row of the connection's commit."""
    output.write(_encode(_Heading(_KIND, schema.FORMAT_VERSION)) + b"\n")
    for table in _TABLES:
        columns = _columns(connection, table)
        for row in connection.execute(f"SELECT {', '.join(columns)} FROM {table}"):
            values = {name: _dumped(name, one) for name, one in zip(columns, row, strict=True)}
            output.write(_encode({"table": table, "row": values}) + b"\n")


def load(lines: Iterable[bytes]) -> Job[int]:
    """A job that fills an empty project and gives the number of rows; may raise `InvalidDump`."""

    def job(transaction: Transaction) -> int:
        transaction.flush()
        _must_be_empty(transaction.connection)
        count = _load(transaction.connection, lines)
        transaction.start_anew()
        return count

    return job


def _load(connection: apsw.Connection, lines: Iterable[bytes]) -> int:
    known = {table: frozenset(_columns(connection, table)) for table in _TABLES}
    number = 0
    for number, text in enumerate(lines):
        try:
            if number == 0:
                _check(msgspec.json.decode(text, type=_Heading))
                continue
            line = msgspec.json.decode(text, type=_Line)
            _insert(connection, known, line)
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, apsw.Error) as error:
            raise InvalidDump(f"line {number + 1}: {error}; nothing was imported") from error
    return number


def _insert(connection: apsw.Connection, known: dict[str, frozenset[str]], line: _Line) -> None:
    columns = known.get(line.table, frozenset())
    foreign = [name for name in line.row if name not in columns]
    if foreign or not line.row:
        raise ValueError(f"table {line.table!r} of this release has no {', '.join(foreign)}")
    marks = ", ".join("?" * len(line.row))
    connection.execute(
        f"INSERT INTO {line.table} ({', '.join(line.row)}) VALUES ({marks})",
        tuple(_loaded(name, raw) for name, raw in line.row.items()),
    )


def _check(heading: _Heading) -> None:
    if heading.kind != _KIND:
        raise ValueError("this is no dump of posthog-local")
    if heading.format > schema.FORMAT_VERSION:
        raise ValueError(
            f"the dump is of format {heading.format}, this release reads {schema.FORMAT_VERSION}"
        )


def _must_be_empty(connection: apsw.Connection) -> None:
    for table in _TABLES:
        if connection.execute(f"SELECT 1 FROM {table} LIMIT 1").get:
            raise InvalidDump(
                f"the project is not empty: it has {table.replace('_', ' ')}."
                " `posthog-local reset` empties it; nothing was imported"
            )


def _columns(connection: apsw.Connection, table: str) -> list[str]:
    return [
        name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
    ]


def _dumped(name: str, value: object) -> object:
    if isinstance(value, bytes):
        return _Bytes(value)
    return msgspec.Raw(value) if name in _JSON_COLUMNS and isinstance(value, str) else value


def _loaded(name: str, raw: msgspec.Raw) -> Any:
    if name in _JSON_COLUMNS:
        msgspec.json.decode(raw)
        return bytes(raw).decode()
    if bytes(raw).startswith(b"{"):
        return msgspec.json.decode(raw, type=_Bytes).base64
    value = msgspec.json.decode(raw)
    if not isinstance(value, str | int | None):
        raise ValueError(f"{name} holds neither text nor a whole number")
    return value
