"""Log records in the store: appending and searching.

Owns every SQL statement on logs. Whose line it is gets resolved at query time, as for events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apsw
import msgspec

from posthog_local.logs.record import LogRecord
from posthog_local.store.pattern import containing
from posthog_local.store.reader import SAME_PERSON
from posthog_local.store.timeorder import LATEST_US, newest
from posthog_local.store.transaction import Transaction
from posthog_local.store.writer import Job

_COLUMNS = (
    "timestamp_us, observed_us, severity, severity_number, service_name, body, attributes,"
    " resource_attributes, scope, event_name, trace_id, span_id, distinct_id, session_id"
)
_INSERT = f"INSERT INTO logs ({_COLUMNS}) VALUES ({','.join('?' * 14)})"
_encode = msgspec.json.Encoder().encode


class StoredLog(msgspec.Struct, frozen=True, kw_only=True):
    """A log line with its number."""

    seq: int
    record: LogRecord


class LogFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines to read; `search` is any part of the body, in any case."""

    severities: tuple[str, ...] = ()
    service_names: tuple[str, ...] = ()
    after_us: int | None = None
    before_us: int | None = None
    #: Only what stands after this line (time, number) when the latest comes first.
    beyond: tuple[int, int] | None = None
    search: str | None = None
    trace_id: str | None = None
    distinct_id: str | None = None

    @classmethod
    def of(cls, wanted: Mapping[str, str]) -> LogFilter:
        """The filter that parameters of an address mean; an empty one asks for nothing."""
        return cls(
            severities=tuple(filter(None, [wanted.get("severity")])),
            service_names=tuple(filter(None, [wanted.get("service_name")])),
            search=wanted.get("search") or None,
            trace_id=wanted.get("trace_id") or None,
            distinct_id=wanted.get("distinct_id") or None,
        )


def append(records: Sequence[LogRecord]) -> Job[None]:
    """A job that stores records in their order."""
    rows = [
        (
            *(one.timestamp_us, one.observed_us, one.severity, one.severity_number),
            *(one.service_name, one.body),
            *(_encode(one.attributes).decode(), _encode(one.resource_attributes).decode()),
            *(one.scope, one.event_name, one.trace_id, one.span_id),
            *(one.distinct_id, one.session_id),
        )
        for one in records
    ]

    def job(transaction: Transaction) -> None:
        transaction.connection.executemany(_INSERT, rows)

    return job


class LogReader:
    """Searches the logs as of the latest commit."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def latest(self, wanted: LogFilter, limit: int) -> list[StoredLog]:
        """Matching lines, the latest first."""
        parts, bindings = ["true"], {"limit": limit}
        if wanted.beyond is not None:
            parts.append("(e.timestamp_us, e.seq) < (:beyond_us, :beyond_seq)")
            bindings["beyond_us"], bindings["beyond_seq"] = wanted.beyond
        conditions: dict[str, tuple[str | int | None, str]] = {
            "severities": (
                _listed(wanted.severities),
                _one_of("severity", "severities", len(wanted.severities)),
            ),
            "services": (
                _listed(wanted.service_names),
                _one_of("service_name", "services", len(wanted.service_names)),
            ),
            "after_us": (wanted.after_us, "e.timestamp_us >= :after_us"),
            "before_us": (wanted.before_us, "e.timestamp_us < :before_us"),
            "search": (_pattern(wanted.search), "e.body LIKE :search ESCAPE '\\'"),
            "trace_id": (wanted.trace_id, "e.trace_id = :trace_id AND e.trace_id != ''"),
            "distinct_id": (wanted.distinct_id, SAME_PERSON),
        }
        values: dict[str, Any] = dict(bindings)
        for name, (value, condition) in conditions.items():
            if value is not None:
                parts.append(condition)
                values[name] = value
        # A text is in few lines or in many: reading all of them as they lie costs a twentieth of
        # looking up each in the order of time.
        whole = wanted.search and not (wanted.trace_id or wanted.distinct_id)
        numbers = (
            f"SELECT e.seq FROM logs e{' NOT INDEXED' if whole else ''}"
            f" WHERE {' AND '.join(parts)} ORDER BY e.timestamp_us DESC, e.seq DESC LIMIT :limit"
        )
        sql = (
            f"SELECT seq, {_COLUMNS} FROM logs WHERE seq IN ({numbers})"
            " ORDER BY timestamp_us DESC, seq DESC"
        )
        return list(self._logs(sql, values))

    def service_names(self) -> list[str]:
        """Every service that wrote a line; skips through the index."""
        rows = self._connection.execute(
            "WITH RECURSIVE found (name) AS (SELECT min(service_name) FROM logs UNION ALL"
            " SELECT (SELECT min(service_name) FROM logs WHERE service_name > name) FROM found"
            " WHERE name IS NOT NULL) SELECT name FROM found WHERE name IS NOT NULL LIMIT 500"
        )
        return [name for (name,) in rows if name]

    def timeline(self, distinct_id: str, limit: int, until_us: int = LATEST_US) -> list[StoredLog]:
        """The last `limit` lines, until a time, of who holds this id, the latest first."""
        numbers = newest(self._connection, "logs", distinct_id, limit, until_us)
        sql = (
            f"SELECT seq, {_COLUMNS} FROM logs"
            " WHERE seq IN (SELECT value FROM json_each(:numbers))"
            " ORDER BY timestamp_us DESC, seq DESC"
        )
        return list(self._logs(sql, {"numbers": _encode(numbers).decode()}))

    def _logs(self, sql: str, bindings: dict[str, Any]) -> Iterator[StoredLog]:
        for row in self._connection.execute(sql, bindings):
            yield StoredLog(
                seq=row[0],
                record=LogRecord(
                    timestamp_us=row[1],
                    observed_us=row[2],
                    severity=row[3],
                    severity_number=row[4],
                    service_name=row[5],
                    body=row[6],
                    attributes=msgspec.json.decode(row[7]),
                    resource_attributes=msgspec.json.decode(row[8]),
                    scope=row[9],
                    event_name=row[10],
                    trace_id=row[11],
                    span_id=row[12],
                    distinct_id=row[13],
                    session_id=row[14],
                ),
            )


def _listed(values: Sequence[str]) -> str | None:
    return _encode(values).decode() if values else None


def _pattern(search: str | None) -> str | None:
    return None if search is None else containing(search)


def _one_of(column: str, name: str, count: int) -> str:
    """A condition; one value is asked for as such, as then its index holds the order of time."""
    if count == 1:
        return f"e.{column} = :{name} ->> 0"
    return f"e.{column} IN (SELECT value FROM json_each(:{name}))"  # our own names
