"""A person's latest rows, whatever number of rows and of distinct ids they have.

Owns the way through the indexes on (distinct_id, timestamp_us). Reads the newest rows of each id
from the index alone and the whole rows only of those that are shown: the time it takes follows the
limit and the number of ids, not the size of the store.
"""

from __future__ import annotations

import heapq
from typing import Literal

import apsw

#: Later than every time that can be kept.
LATEST_US = 2**62
# The newest numbers of one distinct id; the row's own number ends the index.
_NEWEST = (
    "SELECT timestamp_us, seq FROM {table} INDEXED BY {table}_by_distinct_id WHERE distinct_id = ?"
    " AND timestamp_us <= ? ORDER BY timestamp_us DESC, seq DESC LIMIT ?"
)


def ids_of_person(connection: apsw.Connection, distinct_id: str) -> list[str]:
    """Every id of the person who holds this one; the id alone when nobody holds it."""
    rows = connection.execute(
        "SELECT other.distinct_id FROM person_distinct_ids mine"
        " JOIN person_distinct_ids other USING (person_id) WHERE mine.distinct_id = ?",
        (distinct_id,),
    )
    return [one for (one,) in rows] or [distinct_id]


def newest(
    connection: apsw.Connection,
    table: Literal["events", "logs"],
    distinct_id: str,
    limit: int,
    until_us: int = LATEST_US,
) -> list[int]:
    """The numbers of the last `limit` rows, until a time, of who holds this id, in no order."""
    sql = _NEWEST.format(table=table)
    rows = (
        row
        for one in ids_of_person(connection, distinct_id)
        for row in connection.execute(sql, (one, until_us, limit))
    )
    return [seq for _, seq in heapq.nlargest(limit, rows)]
