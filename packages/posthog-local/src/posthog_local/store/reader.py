"""Questions about events and persons, answered from the latest commit.

Owns every SQL statement that reads events and persons. Never writes; whose event it is
gets resolved here, at query time, so that a merge shows at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import apsw
import msgspec

from posthog_local.persons.ids import person_uuid
from posthog_local.store.timeorder import LATEST_US, newest

_EVENT_FIELDS = (
    "e.seq, e.uuid, e.event, e.distinct_id, l.person_id, e.person_mode, e.timestamp_us,"
    " e.received_us, e.session_id, e.properties"
)
_EVENTS = (
    f"SELECT {_EVENT_FIELDS} FROM events e LEFT JOIN person_distinct_ids l USING (distinct_id)"
)
SAME_PERSON = (
    "e.distinct_id IN (SELECT :distinct_id UNION SELECT other.distinct_id"
    " FROM person_distinct_ids mine JOIN person_distinct_ids other USING (person_id)"
    " WHERE mine.distinct_id = :distinct_id)"
)


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it is kept, with the person it belongs to now."""

    seq: int
    uuid: str
    event: str
    distinct_id: str
    person_id: str
    person_mode: str
    timestamp_us: int
    received_us: int
    session_id: str | None
    properties: dict[str, Any]


class StoredPerson(msgspec.Struct, frozen=True, kw_only=True):
    """A person with every distinct id that is theirs."""

    id: str
    distinct_ids: tuple[str, ...]
    properties: dict[str, Any]
    created_at_us: int
    is_identified: bool


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events to read; a distinct id stands for every id of its person.

    `after_seq`, `before_seq`, `after_us` and `before_us` bound numbers and the
    events' own times, without the bounds themselves.
    """

    event: str | None = None
    distinct_id: str | None = None
    uuid: str | None = None
    after_seq: int = 0
    before_seq: int | None = None
    after_us: int | None = None
    before_us: int | None = None


class Reader:
    """Answers from the latest commit; every call sees one consistent state."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def events(self, wanted: EventFilter, limit: int) -> list[StoredEvent]:
        """Matching events in the order of arrival, the oldest first."""
        where, bindings = _conditions(wanted)
        sql = f"{_EVENTS} WHERE {where} ORDER BY e.seq LIMIT :limit"
        return list(self._events(sql, {**bindings, "limit": limit}))

    def latest_events(self, wanted: EventFilter, limit: int) -> list[StoredEvent]:
        """Matching events, the last to arrive first."""
        where, bindings = _conditions(wanted)
        sql = f"{_EVENTS} WHERE {where} ORDER BY e.seq DESC LIMIT :limit"
        return list(self._events(sql, {**bindings, "limit": limit}))

    def timeline(
        self, distinct_id: str, limit: int, until_us: int = LATEST_US
    ) -> list[StoredEvent]:
        """The last `limit` events, until a time, of who holds this id, the earliest first."""
        numbers = newest(self._connection, "events", distinct_id, limit, until_us)
        found = self.events_by_seq(numbers)
        return sorted(found, key=lambda event: (event.timestamp_us, event.seq))

    def events_by_seq(self, numbers: Sequence[int]) -> list[StoredEvent]:
        """The events with these numbers, the latest to arrive first."""
        sql = (
            f"{_EVENTS} WHERE e.seq IN (SELECT value FROM json_each(:numbers)) ORDER BY e.seq DESC"
        )
        return list(self._events(sql, {"numbers": msgspec.json.encode(numbers).decode()}))

    def group_events(self, index: int, key: str, limit: int) -> list[StoredEvent]:
        """The events that name a group, the last to arrive first."""
        sql = f"{_EVENTS} WHERE e.group_{index:d} = :key ORDER BY e.seq DESC LIMIT :limit"
        return list(self._events(sql, {"key": key, "limit": limit}))

    def names(self, limit: int) -> list[str]:
        """The names of events that came, in their order; skips through the index."""
        rows = self._connection.execute(
            "WITH RECURSIVE found (name) AS (SELECT min(event) FROM events UNION ALL"
            " SELECT (SELECT min(event) FROM events WHERE event > name) FROM found"
            " WHERE name IS NOT NULL) SELECT name FROM found WHERE name IS NOT NULL LIMIT ?",
            (limit,),
        )
        return [name for (name,) in rows]

    def counted_names(self, limit: int) -> list[tuple[str, int, int]]:
        """The most frequent names of events, with how many there are and when the last came."""
        rows: Iterator[tuple[str, int, int]] = self._connection.execute(
            "SELECT name, stored, received_us FROM (SELECT event AS name, count(*) AS stored,"
            " max(seq) AS last FROM events GROUP BY event ORDER BY stored DESC, name LIMIT ?)"
            " JOIN events ON seq = last ORDER BY stored DESC, name",
            (limit,),
        )
        return list(rows)

    def trace_events(self, trace_id: str, limit: int) -> list[StoredEvent]:
        """The events of one LLM trace, in the order of arrival."""
        sql = (
            f"{_EVENTS} WHERE e.seq IN (SELECT seq FROM trace_events WHERE trace_id = :id)"
            " ORDER BY e.seq LIMIT :limit"
        )
        return list(self._events(sql, {"id": trace_id, "limit": limit}))

    def latest_traces(self, limit: int) -> list[str]:
        """The ids of the LLM traces that got an event last, the latest first."""
        rows = self._connection.execute(
            "SELECT trace_id FROM trace_events GROUP BY trace_id ORDER BY max(seq) DESC LIMIT ?",
            (limit,),
        )
        return [trace_id for (trace_id,) in rows]

    def last_seq(self) -> int:
        """The number of the newest event, 0 without any."""
        return int(self._connection.execute("SELECT max(seq) FROM events").get or 0)

    def person_properties(self, distinct_id: str) -> dict[str, Any] | None:
        """What is known about the person of this id; None for nobody."""
        text = self._connection.execute(
            "SELECT properties FROM person_distinct_ids JOIN persons ON id = person_id"
            " WHERE distinct_id = ?",
            (distinct_id,),
        ).get
        return None if text is None else msgspec.json.decode(text, type=dict[str, Any])

    def person(self, distinct_id: str) -> StoredPerson | None:
        """The person who holds this id."""
        found = self._persons(
            "id = (SELECT person_id FROM person_distinct_ids WHERE distinct_id = :value)",
            {"value": distinct_id},
        )
        return next(found, None)

    def persons(self, limit: int) -> list[StoredPerson]:
        """The newest persons first."""
        return list(
            self._persons("true ORDER BY created_at_us DESC LIMIT :limit", {"limit": limit})
        )

    def group_types(self) -> dict[int, str]:
        """Group numbers and the names of their types."""
        rows = self._connection.execute("SELECT type_index, name FROM group_types ORDER BY 1")
        return dict(rows)

    def group_properties(self, index: int, key: str) -> dict[str, Any]:
        """What is known about one group; empty for an unknown one."""
        text = self._connection.execute(
            "SELECT properties FROM groups WHERE type_index = ? AND key = ?", (index, key)
        ).get
        return {} if text is None else msgspec.json.decode(text, type=dict[str, Any])

    def _events(self, sql: str, bindings: dict[str, Any]) -> Iterator[StoredEvent]:
        for row in self._connection.execute(sql, bindings):
            yield StoredEvent(
                seq=row[0],
                uuid=str(UUID(bytes=row[1])),
                event=row[2],
                distinct_id=row[3],
                person_id=row[4] or person_uuid(row[3]),
                person_mode=row[5],
                timestamp_us=row[6],
                received_us=row[7],
                session_id=row[8],
                properties=msgspec.json.decode(row[9]),
            )

    def _persons(self, where: str, bindings: dict[str, Any]) -> Iterator[StoredPerson]:
        row: tuple[Any, ...]
        sql = f"SELECT id, properties, created_at_us, is_identified FROM persons WHERE {where}"
        for row in self._connection.execute(sql, bindings).fetchall():
            ids = self._connection.execute(
                "SELECT distinct_id FROM person_distinct_ids WHERE person_id = ? ORDER BY 1",
                (row[0],),
            )
            yield StoredPerson(
                id=row[0],
                distinct_ids=tuple(distinct_id for (distinct_id,) in ids),
                properties=msgspec.json.decode(row[1]),
                created_at_us=row[2],
                is_identified=bool(row[3]),
            )


def _conditions(wanted: EventFilter) -> tuple[str, dict[str, Any]]:
    parts = ["e.seq > :after"]
    bindings: dict[str, Any] = {"after": wanted.after_seq}
    if wanted.event is not None:
        parts.append("e.event = :event")
        bindings["event"] = wanted.event
    if wanted.uuid is not None:
        parts.append("e.uuid = :uuid")
        bindings["uuid"] = UUID(wanted.uuid).bytes
    if wanted.before_seq is not None:
        parts.append("e.seq < :before_seq")
        bindings["before_seq"] = wanted.before_seq
    if wanted.after_us is not None:
        parts.append("e.timestamp_us > :after_us")
        bindings["after_us"] = wanted.after_us
    if wanted.before_us is not None:
        parts.append("e.timestamp_us < :before_us")
        bindings["before_us"] = wanted.before_us
    if wanted.distinct_id is not None:
        parts.append(SAME_PERSON)
        bindings["distinct_id"] = wanted.distinct_id
    return " AND ".join(parts), bindings
