"""Housekeeping of the store while the server runs.

Owns when the log is folded back and when old rows are forgotten. Never runs longer than a moment at
a time. One invariant: the log stays bounded also while readers are busy.
"""

from __future__ import annotations

import asyncio

from pyconvex.runtime.commits import CommitQueue
from pyconvex.storage import Store

#: How often to look, in seconds.
INTERVAL_S = 0.5
#: Looks between two sweeps of old rows.
SWEEP_EVERY = 120


async def maintain(store: Store, commits: CommitQueue) -> None:
    """Look after the store until cancelled."""
    loop = asyncio.get_running_loop()
    last_ts, looks = store.visible_ts, 0
    while True:
        await asyncio.sleep(INTERVAL_S)
        looks += 1
        idle, last_ts = store.visible_ts == last_ts, store.visible_ts
        if store.log_must_restart:
            async with commits.paused():
                await loop.run_in_executor(None, store.restart_log)
        else:
            store.checkpoint_if_due(idle=idle)
        if looks % SWEEP_EVERY == 0:
            while store.sweep():  # noqa: ASYNC110  # others run between two bites
                await asyncio.sleep(0)  # lets others run between two bites
