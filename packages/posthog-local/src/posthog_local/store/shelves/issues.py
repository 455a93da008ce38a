"""Issues in the store: one for each fingerprint, with its occurrences.

Owns every SQL statement on issues. A new occurrence reopens a resolved issue; a suppressed issue
takes no more events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import apsw
import msgspec

from posthog_local.errors.exception import ProcessedException

IssueStatus = Literal["active", "resolved", "archived", "suppressed", "pending_release"]


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """One issue with how often and when it occurred."""

    id: str
    fingerprint: str
    name: str
    description: str
    status: str
    first_seen_us: int
    last_seen_us: int
    occurrences: int
    persons: int


def take(
    connection: apsw.Connection, exception: ProcessedException, issue_id: str, at_us: int
) -> str | None:
    """The issue of this exception, made with `issue_id` if new; None when it is suppressed."""
    row = connection.execute(
        "INSERT INTO issues (id, fingerprint, name, description, status, first_seen_us)"
        " VALUES (?,?,?,?,'active',?) ON CONFLICT (fingerprint) DO UPDATE SET"
        " status = CASE status WHEN 'resolved' THEN 'active' ELSE status END"
        " RETURNING id, status",
        (issue_id, exception.fingerprint, exception.name, exception.description, at_us),
    ).fetchone()
    assert row is not None
    return None if row[1] == "suppressed" else str(row[0])


def add_occurrence(connection: apsw.Connection, issue_id: str, seq: int) -> None:
    """Notes that the event with this number is an occurrence of the issue."""
    connection.execute("INSERT INTO issue_events (issue_id, seq) VALUES (?,?)", (issue_id, seq))


def change(connection: apsw.Connection, issue_id: str, changes: Mapping[str, str]) -> bool:
    """Changes status, name or description; false when there is no such issue."""
    known = {name: changes.get(name) for name in ("status", "name", "description")}
    connection.execute(
        "UPDATE issues SET status = coalesce(:status, status), name = coalesce(:name, name),"
        " description = coalesce(:description, description) WHERE id = :id",
        {**known, "id": issue_id},
    )
    return connection.changes() > 0


class IssueReader:
    """Reads issues as of the latest commit."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def latest(self, limit: int) -> list[Issue]:
        """The issues that occurred last, the latest first."""
        return list(self._issues("true", {"limit": limit}))

    def get(self, issue_id: str) -> Issue | None:
        """One issue."""
        found = self._issues("i.id = :id", {"id": issue_id, "limit": 1})
        return next(found, None)

    def count(self, status: str | None = None) -> int:
        """How many issues there are, of one status if asked."""
        sql = "SELECT count(*) FROM issues WHERE :status IS NULL OR status = :status"
        return int(self._connection.execute(sql, {"status": status}).get or 0)

    def occurrences(self, issue_id: str, limit: int) -> list[int]:
        """The numbers of the issue's latest events, the latest first."""
        rows = self._connection.execute(
            "SELECT seq FROM issue_events WHERE issue_id = ? ORDER BY seq DESC LIMIT ?",
            (issue_id, limit),
        )
        return [seq for (seq,) in rows]

    def _issues(self, where: str, bindings: dict[str, Any]) -> Iterator[Issue]:
        sql = (
            "SELECT i.id, i.fingerprint, i.name, i.description, i.status, i.first_seen_us,"
            " max(e.timestamp_us), count(e.seq),"
            " count(DISTINCT coalesce(l.person_id, e.distinct_id))"
            " FROM issues i LEFT JOIN issue_events o ON o.issue_id = i.id"
            " LEFT JOIN events e ON e.seq = o.seq"
            f" LEFT JOIN person_distinct_ids l USING (distinct_id) WHERE {where}"
            " GROUP BY i.id ORDER BY 7 DESC LIMIT :limit"
        )
        for row in self._connection.execute(sql, bindings):
            yield Issue(
                id=row[0],
                fingerprint=row[1],
                name=row[2],
                description=row[3],
                status=row[4],
                first_seen_us=row[5],
                last_seen_us=row[6] or row[5],
                occurrences=row[7],
                persons=row[8],
            )
