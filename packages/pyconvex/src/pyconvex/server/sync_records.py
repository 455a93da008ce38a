"""Data syncs as they are kept over restarts: a row each, in a system table.

Owns the row's form. Never decides which syncs are kept or when. One invariant: a sync has one row.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from pyconvex.database import Transaction
from pyconvex.export import ActiveSync, Progress

_TABLE = "_data_syncs"


def all_syncs(tx: Transaction) -> list[ActiveSync]:
    """Every sync that was kept."""
    return [
        ActiveSync(
            msgspec.json.decode(str(row["progress"]), type=Progress), int(str(row["lastUpdated"]))
        )
        for row in tx.namespace("", system=True).scan(_TABLE)
    ]


def keep(tx: Transaction, sync: ActiveSync, gone: Collection[str]) -> None:
    """Keep a sync as it is now, and forget others."""
    system = tx.namespace("", system=True)
    for row in list(system.scan(_TABLE)):
        if row["syncId"] == sync.progress.sync_id or row["syncId"] in gone:
            system.delete(str(row["_id"]), _TABLE)
    system.insert(
        _TABLE,
        {
            "syncId": sync.progress.sync_id,
            "progress": msgspec.json.encode(sync.progress).decode(),
            "lastUpdated": str(sync.last_updated_ms),
        },
    )
