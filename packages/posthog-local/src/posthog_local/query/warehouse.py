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

import msgspec

from posthog_local.query.portion import Portion, Position, read_portion
from posthog_local.query.refusal import QueryRefused
from posthog_local.store.views import View

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection as DuckDB

TIMEOUT_S = 20.0
#: What to do about a library that is not there: duckdb, or sqlglot, which others don't bring.
MISSING = (
    "SQL and trends need the extra `sql`, which is not installed:"
    " pip install 'posthog-local[sql]', then start the server again"
)
_LAYOUT = 5
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
        session_id AS "$session_id", created_at, COLUMNS('^.group_[0-4]$'),
        json_extract_string(properties, '$."$elements_chain"') AS elements_chain,
        json_extract_string(properties, '$."$window_id"') AS "$window_id"
    FROM event_rows;
CREATE VIEW logs AS SELECT * EXCLUDE seq FROM log_rows;
CREATE VIEW sessions AS
    SELECT session_id, any_value(distinct_id) AS distinct_id,
        min(timestamp) AS "$start_timestamp", max(timestamp) AS "$end_timestamp",
        date_diff('second', min(timestamp), max(timestamp)) AS "$session_duration",
        count(*) AS "$event_count",
        count(*) FILTER (event = '$pageview') AS "$pageview_count",
        count(*) FILTER (event = '$autocapture') AS "$autocapture_count",
        count(*) FILTER (event = '$screen') AS "$screen_count",
        arg_min(url, timestamp) FILTER (event = '$pageview') AS "$entry_current_url",
        arg_max(url, timestamp) FILTER (event = '$pageview') AS "$exit_current_url",
        "$exit_current_url" AS "$end_current_url",
        regexp_extract("$entry_current_url", '^[a-z]+://[^/?#]*([^?#]*)', 1) AS "$entry_pathname",
        regexp_extract("$exit_current_url", '^[a-z]+://[^/?#]*([^?#]*)', 1) AS "$end_pathname",
        count(DISTINCT url) FILTER (event = '$pageview') AS "$num_uniq_urls",
        arg_min(json_extract_string(properties, '$."$referring_domain"'), timestamp)
            FILTER (event = '$pageview') AS "$entry_referring_domain",
        arg_min(json_extract_string(properties, '$.utm_source'), timestamp)
            FILTER (event = '$pageview') AS "$entry_utm_source",
        arg_min(json_extract_string(properties, '$.utm_medium'), timestamp)
            FILTER (event = '$pageview') AS "$entry_utm_medium",
        arg_min(json_extract_string(properties, '$.utm_campaign'), timestamp)
            FILTER (event = '$pageview') AS "$entry_utm_campaign",
        "$pageview_count" + "$screen_count" <= 1 AND "$autocapture_count" = 0
            AND "$session_duration" < 10 AS "$is_bounce"
    FROM (SELECT *, json_extract_string(properties, '$."$current_url"') AS url FROM event_rows)
    WHERE session_id IS NOT NULL GROUP BY session_id;
CREATE VIEW persons AS
    SELECT * FROM person_rows WHERE id IN (SELECT person_id FROM links WHERE NOT alone);
CREATE VIEW person_distinct_ids AS SELECT distinct_id, person_id FROM links WHERE NOT alone;
CREATE VIEW events_of_person AS
    SELECT e.*, l.person_id FROM events e LEFT JOIN links l USING (distinct_id);
CREATE VIEW events_with_person AS
    SELECT e.*, p.properties AS person_properties, p.created_at AS person_created_at
    FROM events_of_person e LEFT JOIN person_rows p ON p.id = e.person_id;
"""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A query's columns, DuckDB's names of their types, and rows."""

    columns: list[str]
    types: list[str]
    rows: list[tuple[Any, ...]]


class CopyFailed(QueryRefused):
    """The copy could not be written. The store has everything; the next question tries again."""

    def __init__(self, error: Exception) -> None:
        said = str(error).split("\n", 1)[0]
        super().__init__(
            f"the copy of events for SQL could not be written: {said}. Every event that was taken"
            " is kept; make room on the disk of the data folder and ask again"
        )


class Warehouse:
    """The open copy. One thread at a time takes portions and asks; any may read portions."""

    def __init__(self, folder: Path, beside: Path | None = None) -> None:
        try:
            import duckdb
        except ImportError as error:
            raise QueryRefused(MISSING) from error
        self._error: type[Exception] = duckdb.Error
        self._scratch = folder.resolve() / "sql"
        reached = [self._scratch] if beside is None else [self._scratch, beside]
        try:
            self._scratch.mkdir(exist_ok=True)
            self._connection = _opened(duckdb, folder / "posthog.duckdb", reached)
        except (duckdb.Error, OSError) as error:
            raise CopyFailed(error) from error
        row = self._connection.execute("SELECT epoch, seq, version, log_seq FROM copied").fetchone()
        assert row is not None
        self._first_seq = self._first_log_seq = 0
        self.position = Position(epoch=row[0], seq=row[1], version=row[2], log_seq=row[3])

    def portion(self, view: View, after: Position) -> Portion:
        """What comes after a position, written to files, from one commit of the store.

        May raise `CopyFailed`, and leaves no file then.
        """
        try:
            return read_portion(view.connection, after, self._scratch)
        except OSError as error:
            for file in (*self._scratch.glob(f"{after.seq}-*.jsonl"),
                         *self._scratch.glob(f"{after.log_seq}-logs.jsonl")):  # fmt: skip
                file.unlink(missing_ok=True)
            raise CopyFailed(error) from error

    def take(self, portion: Portion) -> None:
        """Copies the portion in one transaction of its own; `CopyFailed` when there is no room.

        After that the copy is closed and opened anew: DuckDB may not go on with this connection.
        """
        try:
            self._take(portion)
        except (self._error, OSError) as error:
            raise CopyFailed(error) from error

    def _take(self, portion: Portion) -> None:
        run = self._connection.execute
        run("BEGIN")
        try:
            if portion.anew:
                for table in ("event_rows", "links", "person_rows", "group_rows", "log_rows"):
                    run(f"DELETE FROM {table}")
            if portion.first_seq > self._first_seq:
                run("DELETE FROM event_rows WHERE seq < ?", [portion.first_seq])
            if portion.first_log_seq > self._first_log_seq:
                run("DELETE FROM log_rows WHERE seq < ?", [portion.first_log_seq])
            for statement in portion.statements():
                run(statement)
            now = portion.position
            run("UPDATE copied SET epoch = ?, seq = ?, version = ?, log_seq = ?",
                [now.epoch, now.seq, now.version, now.log_seq])  # fmt: skip
            run("COMMIT")
        except BaseException:
            with contextlib.suppress(self._error):  # a failed commit has ended it already
                run("ROLLBACK")
            raise
        finally:
            for file in portion.files:
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
        with contextlib.suppress(self._error):
            self._connection.close()
        with contextlib.suppress(OSError):
            for file in self._scratch.glob("*.jsonl"):  # of portions that nobody took
                file.unlink()
            self._scratch.rmdir()


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
