"""The warehouse's views of events over one table, to put events in by hand and ask of them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

BEGIN = datetime(2026, 1, 1)  # as the warehouse keeps times


class Event(msgspec.Struct, frozen=True):
    """Who did what, so many hours after the begin."""

    who: str
    name: str
    hours: float = 0.0
    properties: dict[str, Any] = {}
    person: dict[str, Any] = {}
    session: str | None = None
    #: When the person was first seen, in hours after the begin; nobody knows else.
    created: float | None = None


class EventTable:
    """DuckDB in memory; `ask` answers SQL of the warehouse from these events alone."""

    def __init__(self) -> None:
        self._connection = pytest.importorskip("duckdb").connect(config={"threads": 1})
        self._connection.execute(
            "CREATE TABLE events_with_person (person_id VARCHAR, distinct_id VARCHAR,"
            " event VARCHAR, timestamp TIMESTAMP, properties VARCHAR, person_properties VARCHAR,"
            ' "$session_id" VARCHAR, person_created_at TIMESTAMP, uuid VARCHAR);'
            "CREATE VIEW events AS FROM events_with_person;"
            "CREATE VIEW events_of_person AS FROM events_with_person;"
            "CREATE VIEW links AS SELECT DISTINCT distinct_id, person_id FROM events_with_person"
        )

    def ask(self, asked: tuple[str, list[Any]], events: list[Event]) -> list[tuple[Any, ...]]:
        """The rows that the question finds among these events."""
        run = self._connection
        run.execute("DELETE FROM events_with_person")
        rows = [
            (f"person-{one.who}", one.who, one.name, BEGIN + timedelta(hours=one.hours),
             json.dumps(one.properties), json.dumps(one.person), one.session,
             None if one.created is None else BEGIN + timedelta(hours=one.created), str(number))
            for number, one in enumerate(events)
        ]  # fmt: skip
        if rows:
            run.executemany("INSERT INTO events_with_person VALUES (?,?,?,?,?,?,?,?,?)", rows)
        return list(run.execute(*asked).fetchall())
