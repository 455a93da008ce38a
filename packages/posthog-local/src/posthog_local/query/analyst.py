"""Questions to the warehouse from the event loop: catches up first, then answers.

Owns the thread that the warehouse lives on, whose turn it is, and how long a query may take. Until
the first question nothing is opened or copied. Never translates: it is given DuckDB's SQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

from posthog_local.query.tablefolder import TableFolder
from posthog_local.query.warehouse import TIMEOUT_S, Answer, Portion, Position, Warehouse
from posthog_local.store.store import Store


class Analyst:
    """Asks the warehouse without holding up the event loop: catches up, then answers."""

    def __init__(self, store: Store, folder: Path, beside: Path | None = None) -> None:
        self._store = store
        self._folder = folder
        #: Tables beside events, if there is a folder of them.
        self.beside = None if beside is None else TableFolder(beside)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="warehouse")
        self._turn = asyncio.Lock()
        self._warehouse: Warehouse | None = None

    async def ask(self, sql: str, values: Sequence[Any] = ()) -> Answer:
        """Rows of everything durable by now; `QueryRefused` says why not."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            warehouse = await self._caught_up()
            asked = loop.run_in_executor(self._thread, warehouse.ask, sql, values)
            timer = loop.call_later(TIMEOUT_S, warehouse.interrupt)
            try:
                return await asyncio.shield(asked)
            except asyncio.CancelledError:
                warehouse.interrupt()
                await asyncio.gather(asked, return_exceptions=True)
                raise
            finally:
                timer.cancel()

    async def follow(self) -> None:
        """Copies what comes in, from the first question on, so that the next finds little to do."""
        while not self._store.changes.closed:
            seen = self._store.changes.version
            if self._warehouse is not None:
                async with self._turn:
                    await self._caught_up()
            await self._store.changes.wait(seen, 60)

    async def close(self) -> None:
        """Closes the file."""
        if self._warehouse is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._warehouse.close)
        await asyncio.to_thread(self._thread.shutdown)

    async def _caught_up(self) -> Warehouse:
        loop = asyncio.get_running_loop()
        if self._warehouse is None:
            self._warehouse = await loop.run_in_executor(
                self._thread, _opened, self._folder, self.beside
            )
        warehouse = self._warehouse
        portion = await self._portion(warehouse, warehouse.position)
        while True:
            taken = loop.run_in_executor(self._thread, warehouse.take, portion)
            # The next portion is read while this one is copied.
            more = portion.more
            following = await self._portion(warehouse, portion.position) if more else portion
            await taken
            if not more:
                return warehouse
            portion = following

    async def _portion(self, warehouse: Warehouse, after: Position) -> Portion:
        return await self._store.read(lambda view: warehouse.portion(view, after))


def _opened(folder: Path, beside: TableFolder | None) -> Warehouse:
    """The warehouse, and the translator with it: else the second question waited for that."""
    warehouse = Warehouse(folder, None if beside is None else beside.folder)
    import_module("posthog_local.query.dialect").translate("SELECT count() FROM events")
    return warehouse
