"""A copy of events and logs for questions over many of them, in a DuckDB file of our own.

Owns that file: the copy, how it catches up by row number, and the connection that queries run on.
SQLite stays the truth: the file is deleted and made again when it does not fit. Invariant: a query
sees every event that was durable when it was asked, and can reach nothing but these tables and the
folder of tables beside them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import msgspec

from posthog_local.persons.ids import person_uuid
from posthog_local.query.refusal import QueryRefused
from posthog_local.store.views import View

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection as DuckDB

ROWS_PER_PORTION = 100_000
# SQLite makes so many lines at once, while other threads run: fewer than the interpreter's turn.
_ROWS_PER_CHUNK = 5_000
TIMEOUT_S = 20.0
_MISSING = (
    "SQL and trends need the extra `sql`, which is not installed:"
    " pip install 'posthog-local[sql]', then start the server again"
)
_LAYOUT = 4
_TABLES = """
CREATE TABLE copied (
    layout INTEGER, epoch VARCHAR, seq BIGINT, version BIGINT, log_seq BIGINT
);
CREATE TABLE event_rows (
    seq BIGINT, uuid UUID, event VARCHAR, distinct_id VARCHAR,
    timestamp TIMESTAMP, created_at TIMESTAMP, session_id VARCHAR, properties VARCHAR,
    "$group_0" VARCHAR, "$group_1" VARCHAR, "$group_2" VARCHAR, "$group_3" VARCHAR,
    "$group_4" VARCHAR
);
CREATE TABLE log_rows (
    seq BIGINT, timestamp TIMESTAMP, observed_timestamp TIMESTAMP, severity_text VARCHAR,
    severity_number INTEGER, service_name VARCHAR, body VARCHAR, attributes VARCHAR,
    resource_attributes VARCHAR, event_name VARCHAR, trace_id VARCHAR, span_id VARCHAR,
    distinct_id VARCHAR, session_id VARCHAR
);
-- `alone` are ids without a person, with the person that they would have.
CREATE TABLE links (distinct_id VARCHAR, person_id VARCHAR, alone BOOLEAN);
CREATE TABLE person_rows (
    id VARCHAR, properties VARCHAR, created_at TIMESTAMP, is_identified BOOLEAN
);
CREATE TABLE group_rows (
    index INTEGER, key VARCHAR, properties VARCHAR, created_at TIMESTAMP
);
CREATE VIEW groups AS SELECT * FROM group_rows;
CREATE VIEW events AS
    SELECT uuid::VARCHAR AS uuid, event, timestamp, distinct_id, properties,
        session_id AS "$session_id", created_at, COLUMNS('^.group_[0-4]$')
    FROM event_rows;
CREATE VIEW logs AS SELECT * EXCLUDE seq FROM log_rows;
CREATE VIEW sessions AS
    SELECT session_id, any_value(distinct_id) AS distinct_id,
        min(timestamp) AS "$start_timestamp", max(timestamp) AS "$end_timestamp",
        date_diff('second', min(timestamp), max(timestamp)) AS "$session_duration",
        count(*) AS "$event_count",
        count(*) FILTER (event = '$pageview') AS "$pageview_count",
        count(*) FILTER (event = '$autocapture') AS "$autocapture_count",
        arg_min(json_extract_string(properties, '$."$current_url"'), timestamp)
            FILTER (event = '$pageview') AS "$entry_current_url",
        arg_max(json_extract_string(properties, '$."$current_url"'), timestamp)
            FILTER (event = '$pageview') AS "$exit_current_url"
    FROM event_rows WHERE session_id IS NOT NULL GROUP BY session_id;
CREATE VIEW persons AS
    SELECT * FROM person_rows WHERE id IN (SELECT person_id FROM links WHERE NOT alone);
CREATE VIEW person_distinct_ids AS SELECT distinct_id, person_id FROM links WHERE NOT alone;
CREATE VIEW events_of_person AS
    SELECT uuid::VARCHAR AS uuid, event, timestamp, distinct_id, properties,
        session_id AS "$session_id", created_at, COLUMNS('^.group_[0-4]$'), l.person_id
    FROM event_rows LEFT JOIN links l USING (distinct_id);
CREATE VIEW events_with_person AS
    SELECT uuid::VARCHAR AS uuid, event, timestamp, distinct_id, e.properties,
        session_id AS "$session_id", e.created_at, COLUMNS('^.group_[0-4]$'), l.person_id,
        p.properties AS person_properties, p.created_at AS person_created_at
    FROM event_rows e LEFT JOIN links l USING (distinct_id) LEFT JOIN person_rows p
        ON p.id = l.person_id;
"""
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


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A query's columns, DuckDB's names of their types, and rows."""

    columns: list[str]
    types: list[str]
    rows: list[tuple[Any, ...]]


class Warehouse:
    """The open copy. One thread at a time takes portions and asks; any may read portions."""

    def __init__(self, folder: Path, beside: Path | None = None) -> None:
        try:
            import duckdb
        except ImportError as error:
            raise QueryRefused(_MISSING) from error
        self._error: type[Exception] = duckdb.Error
        self._scratch = folder.resolve() / "sql"
        self._scratch.mkdir(exist_ok=True)
        reached = [self._scratch] if beside is None else [self._scratch, beside]
        self._connection = _opened(duckdb, folder / "posthog.duckdb", reached)
        row = self._connection.execute("SELECT epoch, seq, version, log_seq FROM copied").fetchone()
        assert row is not None
        self._first_seq = self._first_log_seq = 0
        self.position = Position(epoch=row[0], seq=row[1], version=row[2], log_seq=row[3])

    def portion(self, view: View, after: Position) -> Portion:
        """What comes after a position, written to files, from one commit of the store."""
        return read_portion(view.connection, after, self._scratch)

    def take(self, portion: Portion) -> None:
        """Copies the portion in one transaction of its own."""
        run = self._connection.execute
        run("BEGIN")
        try:
            if portion.anew:
                for table in ("event_rows", "links", "person_rows", "group_rows", "log_rows"):
                    run(f"DELETE FROM {table}")  # noqa: S608
            if portion.first_seq > self._first_seq:
                run("DELETE FROM event_rows WHERE seq < ?", [portion.first_seq])
            if portion.first_log_seq > self._first_log_seq:
                run("DELETE FROM log_rows WHERE seq < ?", [portion.first_log_seq])
            self._fill(portion)
            now = portion.position
            run("UPDATE copied SET epoch = ?, seq = ?, version = ?, log_seq = ?",
                [now.epoch, now.seq, now.version, now.log_seq])  # fmt: skip
            run("COMMIT")
        except BaseException:
            run("ROLLBACK")
            raise
        finally:
            parts = (portion.events, portion.links, portion.persons, portion.groups, portion.logs)
            for file in parts:
                if file is not None:
                    file.unlink()
        self.position, self._first_seq = now, portion.first_seq
        self._first_log_seq = portion.first_log_seq

    def ask(self, sql: str, values: Sequence[Any]) -> Answer:
        """Runs one query; `QueryRefused` with DuckDB's words when it cannot."""
        try:
            result = self._connection.execute(sql, values)
            rows = result.fetchall()
            described = result.description or []
        except self._error as error:
            raise QueryRefused(_said(error)) from error
        return Answer(
            columns=[column[0] for column in described],
            types=[str(column[1]) for column in described],
            rows=rows,
        )

    def interrupt(self) -> None:
        """Ends the query that runs; may be called from another thread."""
        self._connection.interrupt()

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()
        with contextlib.suppress(OSError):
            self._scratch.rmdir()

    def _fill(self, portion: Portion) -> None:
        run = self._connection.execute
        if portion.events is not None:
            run(f"INSERT INTO event_rows SELECT {_EVENT_VALUES} FROM {_lines(portion.events)}")  # noqa: S608
        if portion.logs is not None:
            run(f"INSERT INTO log_rows SELECT {_LOG_VALUES} FROM {_lines(portion.logs)}")  # noqa: S608
        if portion.links is not None:
            lines = _lines(portion.links)
            run(f"DELETE FROM links WHERE distinct_id IN (SELECT j[1] FROM {lines})")  # noqa: S608
            run(f"INSERT INTO links SELECT {_LINK_VALUES} FROM {lines}")  # noqa: S608
        if portion.persons is not None:
            lines = _lines(portion.persons)
            run(f"DELETE FROM person_rows WHERE id IN (SELECT j[1] FROM {lines})")  # noqa: S608
            run(f"INSERT INTO person_rows SELECT {_PERSON_VALUES} FROM {lines}")  # noqa: S608
        if portion.groups is not None:
            lines = _lines(portion.groups)
            run("DELETE FROM group_rows WHERE (index, key) IN"  # noqa: S608
                f" (SELECT (j[1]::INTEGER, j[2]) FROM {lines})")  # fmt: skip
            run(f"INSERT INTO group_rows SELECT {_GROUP_VALUES} FROM {lines}")  # noqa: S608


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
    first = connection.execute(f"SELECT min(seq) FROM {table}").get  # noqa: S608  # our own names
    last = connection.execute(f"SELECT max(seq) FROM {table}").get  # noqa: S608
    return (None, 0) if first is None or last is None else (int(first), int(last))


def _copied(connection: apsw.Connection, rows: str, after_seq: int, file: Path) -> int | None:
    """Writes the next rows as lines, and gives the number of the last; None when there are none."""
    chunk = (
        "SELECT max(seq), group_concat(line, char(10)) FROM"  # noqa: S608  # our own SQL
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
    sql = f"SELECT {columns}, version FROM {table} WHERE version > ?"  # noqa: S608
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


def _opened(duckdb: Any, file: Path, reached: Sequence[Path]) -> DuckDB:
    """The file, with what fits this release; one of another release or a damaged one goes."""
    with contextlib.suppress(duckdb.Error):
        connection: DuckDB = _connected(duckdb, file, reached)
        with contextlib.suppress(duckdb.Error):
            if connection.execute("SELECT layout FROM copied").fetchone() == (_LAYOUT,):
                return connection
        connection.close()
    for one in (file, file.with_suffix(".duckdb.wal")):
        one.unlink(missing_ok=True)
    connection = _connected(duckdb, file, reached)
    connection.execute(_TABLES)
    connection.execute("INSERT INTO copied VALUES (?, '', 0, -1, 0)", [_LAYOUT])
    return connection


def _connected(duckdb: Any, file: Path, reached: Sequence[Path]) -> DuckDB:
    """No extension is ever fetched, and no file is reached but our own lines and those beside."""
    connection: DuckDB = duckdb.connect(
        str(file),
        config={
            "threads": 2,
            "memory_limit": "512MB",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    places = ", ".join("'" + str(one.resolve()).replace("'", "''") + "/'" for one in reached)
    connection.execute(f"SET allowed_directories = [{places}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _said(error: Exception) -> str:
    if "INTERRUPT" in str(error):
        return f"the query took longer than {TIMEOUT_S:g} s and was stopped"
    return str(error).split("\n\nLINE", 1)[0].strip()
