"""Clauses of ClickHouse: what they give over a few events."""

from __future__ import annotations

from typing import Any

import pytest
from eventtable import Event, EventTable

from posthog_local.query.dialect import translate

_TABLE = EventTable()
_EVENTS = [
    Event("ada", "see", 0, {"n": 1}),
    Event("ada", "pay", 1, {"n": 5}),
    Event("ada", "see", 2, {"n": 3}),
    Event("bob", "see", 3, {"n": 4}),
]


def rows(text: str) -> list[tuple[Any, ...]]:
    return _TABLE.ask((translate(text).sql, []), _EVENTS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT count() FROM events PREWHERE event = 'see'", [(3,)]),
        ("SELECT count() FROM events PREWHERE event = 'see' WHERE distinct_id = 'bob'", [(1,)]),
        ("SELECT distinct_id, event FROM events ORDER BY timestamp DESC LIMIT 1 BY distinct_id",
         [("bob", "see"), ("ada", "see")]),
        ("SELECT distinct_id, event, count() AS c FROM events GROUP BY distinct_id, event"
         " ORDER BY c DESC, distinct_id LIMIT 1 BY distinct_id", [("ada", "see", 2),
                                                                 ("bob", "see", 1)]),
        ("SELECT distinct_id, x FROM events ARRAY JOIN [1, 2] AS x WHERE event = 'pay'"
         " ORDER BY x", [("ada", 1), ("ada", 2)]),
        ("SELECT x FROM events LEFT ARRAY JOIN arrayFilter(i -> i > 9, [1]) AS x"
         " WHERE event = 'pay'", [(None,)]),
        ("SELECT number FROM numbers(2) ORDER BY number", [(0,), (1,)]),
        ("SELECT n.number FROM numbers(5, 2) AS n ORDER BY n.number", [(5,), (6,)]),
        ("WITH 'pay' AS wanted SELECT count() FROM events WHERE event = wanted", [(1,)]),
        ("WITH (SELECT max(timestamp) FROM events) AS latest"
         " SELECT distinct_id FROM events WHERE timestamp = latest", [("bob",)]),
        ("WITH 1 AS one, a AS (SELECT event FROM events) SELECT one, count() FROM a", [(1, 4)]),
        ("SELECT countIf(properties.gone = 'x'), length(groupArray(event)) FROM events", [(0, 4)]),
        ("SELECT sum(properties.n), median(properties.n) FROM events", [(13, 3.5)]),
        ("SELECT arrayMap(x -> x.1, arraySort(groupArray((event, distinct_id)))) FROM events",
         [(["pay", "see", "see", "see"],)]),
    ],
)  # fmt: skip
def test_rows(text: str, expected: list[tuple[Any, ...]]) -> None:
    assert rows(text) == expected
