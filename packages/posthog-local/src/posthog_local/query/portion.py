"""One step of the copy for SQL: what came after a position, read from the store into files.

Owns the files' format from both sides: the lines that SQLite writes, and the SQL with which DuckDB
reads them. Never opens a database. Invariant: all of a portion is of one commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import msgspec

from posthog_local.persons.ids import person_uuid

ROWS_PER_PORTION = 100_000
# SQLite makes so many lines at once, while other threads run: fewer than the interpreter's turn.
_ROWS_PER_CHUNK = 5_000
# A line for each row, made by SQLite: rows that came through Python took five times as long.
_EVENTS = (
    "SELECT seq, json_array(seq, hex(uuid), event, distinct_id, timestamp_us, received_us,"
    " session_id, properties, group_0, group_1, group_2, group_3, group_4) AS line FROM events"
)
_LOGS = (
    "SELECT seq, json_array(seq, timestamp_us, observed_us, severity, severity_number,"
    " service_name, body, attributes, resource_attributes, event_name, trace_id, span_id,"
    " distinct_id, session_id) AS line FROM logs"
)
_ALONE = (
    "SELECT DISTINCT distinct_id FROM events e WHERE seq > ? AND seq <= ? AND NOT EXISTS"
    " (SELECT 1 FROM person_distinct_ids l WHERE l.distinct_id = e.distinct_id)"
)
_EVENT_VALUES = (
    "j[1]::BIGINT, j[2]::UUID, j[3], j[4],"
    " make_timestamp(j[5]::BIGINT), make_timestamp(j[6]::BIGINT), j[7], j[8],"
    " j[9], j[10], j[11], j[12], j[13]"
)
_LOG_VALUES = (
    "j[1]::BIGINT, make_timestamp(j[2]::BIGINT), make_timestamp(j[3]::BIGINT), j[4], j[5]::INTEGER,"
    " j[6], j[7], j[8], j[9], j[10], j[11], j[12], j[13], j[14]"
)
_LINK_VALUES = "j[1], j[2], j[3] = 'true'"
_GROUP_VALUES = "j[1]::INTEGER, j[2], j[3], make_timestamp(j[4]::BIGINT)"
_PERSON_VALUES = "j[1], j[2], make_timestamp(j[3]::BIGINT), j[4] = '1'"


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """How far the copy has come."""

    epoch: str = ""
    seq: int = 0
    version: int = -1
    log_seq: int = 0


class Portion(msgspec.Struct, frozen=True, kw_only=True):
    """What one step copies, read in one commit; the files hold lines of JSON."""

    position: Position
    anew: bool
    first_seq: int
    first_log_seq: int
    events: Path | None
    logs: Path | None
    links: Path | None
    persons: Path | None
    groups: Path | None
    more: bool

    @property
    def files(self) -> list[Path]:
        """Its files."""
        parts = (self.events, self.links, self.persons, self.groups, self.logs)
        return [file for file in parts if file is not None]

    def statements(self) -> Iterator[str]:
        """DuckDB's SQL that puts the files into the warehouse's tables."""
        if self.events is not None:
            yield f"INSERT INTO event_rows SELECT {_EVENT_VALUES} FROM {_lines(self.events)}"
        if self.logs is not None:
            yield f"INSERT INTO log_rows SELECT {_LOG_VALUES} FROM {_lines(self.logs)}"
        changed = (
            (self.links, "links", "distinct_id", "j[1]", _LINK_VALUES),
            (self.persons, "person_rows", "id", "j[1]", _PERSON_VALUES),
            (self.groups, "group_rows", "(index, key)", "(j[1]::INTEGER, j[2])", _GROUP_VALUES),
        )
        for file, table, key, own_key, values in changed:
            if file is not None:
                lines = _lines(file)
                yield f"DELETE FROM {table} WHERE {key} IN (SELECT {own_key} FROM {lines})"
                yield f"INSERT INTO {table} SELECT {values} FROM {lines}"


def read_portion(connection: apsw.Connection, after: Position, scratch: Path) -> Portion:
    """The next rows after a position, as files in `scratch`."""
    epoch = str(connection.execute("SELECT epoch FROM meta").get)
    anew = epoch != after.epoch
    if anew:
        after = Position(epoch=epoch)
    first, last = _ends(connection, "events")
    first_log, last_log = _ends(connection, "logs")
    events = _copied(connection, _EVENTS, after.seq, scratch / f"{after.seq}-events.jsonl")
    logs = _copied(connection, _LOGS, after.log_seq, scratch / f"{after.log_seq}-logs.jsonl")
    seq = max(last, after.seq) if events is None else min(last, events)
    log_seq = max(last_log, after.log_seq) if logs is None else min(last_log, logs)
    links = _changed(connection, "distinct_id, person_id", "person_distinct_ids", after.version)
    alone = [(one, person_uuid(one)) for (one,) in connection.execute(_ALONE, (after.seq, seq))]
    persons = _changed(
        connection, "id, properties, created_at_us, is_identified", "persons", after.version
    )
    groups = _changed(connection, "type_index, key, properties, created_at_us", "groups",
                      after.version)  # fmt: skip
    versions = [row[-1] for row in (*links, *persons, *groups)]
    return Portion(
        position=Position(
            epoch=epoch,
            seq=seq,
            version=max(versions, default=after.version),
            log_seq=log_seq,
        ),
        anew=anew,
        first_seq=first if first is not None else seq + 1,
        first_log_seq=first_log if first_log is not None else log_seq + 1,
        events=None if events is None else scratch / f"{after.seq}-events.jsonl",
        logs=None if logs is None else scratch / f"{after.log_seq}-logs.jsonl",
        links=_written(
            scratch / f"{after.seq}-links.jsonl",
            [*((*row[:-1], False) for row in links), *((*row, True) for row in alone)],
        ),
        persons=_written(scratch / f"{after.seq}-persons.jsonl", [row[:-1] for row in persons]),
        groups=_written(scratch / f"{after.seq}-groups.jsonl", [row[:-1] for row in groups]),
        more=seq < last or log_seq < last_log,
    )


def _ends(connection: apsw.Connection, table: str) -> tuple[int | None, int]:
    """The first and the last number of a table; None and 0 when it is empty."""
    first = connection.execute(f"SELECT min(seq) FROM {table}").get
    last = connection.execute(f"SELECT max(seq) FROM {table}").get
    return (None, 0) if first is None or last is None else (int(first), int(last))


def _copied(connection: apsw.Connection, rows: str, after_seq: int, file: Path) -> int | None:
    """Writes the next rows as lines, and gives the number of the last; None when there are none."""
    chunk = (
        "SELECT max(seq), group_concat(line, char(10)) FROM"
        f" ({rows} WHERE seq > ? ORDER BY seq LIMIT {_ROWS_PER_CHUNK})"
    )
    last: int | None = None
    with file.open("wb") as output:
        for _ in range(ROWS_PER_PORTION // _ROWS_PER_CHUNK):
            after = after_seq if last is None else last
            found: tuple[Any, ...] = connection.execute(chunk, (after,)).fetchall()[0]
            if found[0] is None:
                break
            last = int(found[0])
            output.write(found[1].encode() + b"\n")
    if last is None:
        file.unlink()
    return last


def _changed(
    connection: apsw.Connection, columns: str, table: str, after_version: int
) -> list[tuple[Any, ...]]:
    sql = f"SELECT {columns}, version FROM {table} WHERE version > ?"
    return connection.execute(sql, (after_version,)).fetchall()


def _written(file: Path, rows: list[tuple[Any, ...]]) -> Path | None:
    if not rows:
        return None
    encode = msgspec.json.Encoder().encode
    with file.open("wb") as output:
        output.writelines(encode(row) + b"\n" for row in rows)
    return file


def _lines(file: Path) -> str:
    name = str(file).replace("'", "''")
    return (
        f"read_json('{name}', columns = {{j: 'VARCHAR[]'}}, records = false,"
        " format = 'newline_delimited', maximum_object_size = 33554432)"
    )
