"""Questions to the warehouse from the event loop: catches up first, then answers.

Owns the thread that the warehouse lives on, whose turn it is, and how long a query may take. Until
the first question nothing is opened or copied but what fills whole portions. Never translates: it
is given DuckDB's SQL.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from posthog_local.query.portion import ROWS_PER_PORTION, Portion, Position
from posthog_local.query.refusal import QueryRefused
from posthog_local.query.tablefolder import TableFolder
from posthog_local.query.warehouse import (
    MISSING,
    TIMEOUT_S,
    Answer,
    CopyFailed,
    Warehouse,
)
from posthog_local.store.store import Store

T = TypeVar("T")


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
        self._asked = False

    async def ask(self, sql: str, values: Sequence[Any] = ()) -> Answer:
        """Rows of everything durable by now; `QueryRefused` says why not."""
        loop = asyncio.get_running_loop()
        self._asked = True
        async with self._turn:
            warehouse = await self._caught_up()
            asked = loop.run_in_executor(self._thread, warehouse.ask, sql, values)
            timer = loop.call_later(TIMEOUT_S, warehouse.interrupt)
            try:
                return await _ended(asked, warehouse.interrupt)
            finally:
                timer.cancel()

    async def follow(self) -> None:
        """Copies what comes in, so that a question finds little to do.

        Each change from the first question on; before that whole portions alone, so that a server
        that is asked nothing stays small, and one with many events answers the first question soon.
        """
        try:
            while not self._store.changes.closed:
                seen = self._store.changes.version
                with contextlib.suppress(CopyFailed):  # the next change, or question, tries again
                    await self._copy()
                await self._store.changes.wait(seen, 60)
        except QueryRefused:
            return  # the extra is not installed; a question says so

    async def _copy(self) -> None:
        if self._asked:
            async with self._turn:
                await self._caught_up()
            return
        while self._store.reader.last_seq() - self._copied_seq >= ROWS_PER_PORTION:
            async with self._turn:  # a question may come between two portions
                await self._step(await self._opened())

    async def close(self) -> None:
        """Closes the file."""
        if self._warehouse is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._warehouse.close)
        await asyncio.to_thread(self._thread.shutdown)

    @property
    def _copied_seq(self) -> int:
        return 0 if self._warehouse is None else self._warehouse.position.seq

    async def _opened(self) -> Warehouse:
        if self._warehouse is None:
            self._warehouse = await asyncio.get_running_loop().run_in_executor(
                self._thread, _opened, self._folder, self.beside
            )
        return self._warehouse

    async def _step(self, warehouse: Warehouse) -> None:
        """Copies one portion."""
        loop = asyncio.get_running_loop()
        try:
            portion = await self._portion(warehouse, warehouse.position)
            await _ended(loop.run_in_executor(self._thread, warehouse.take, portion))
        except CopyFailed:
            await self._let_go()
            raise

    async def _caught_up(self) -> Warehouse:
        warehouse = await self._opened()
        try:
            return await self._all_copied(warehouse)
        except CopyFailed:
            await self._let_go()
            raise

    async def _let_go(self) -> None:
        """Closes the copy; the next question opens it anew."""
        warehouse, self._warehouse = self._warehouse, None
        if warehouse is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, warehouse.close)

    async def _all_copied(self, warehouse: Warehouse) -> Warehouse:
        loop = asyncio.get_running_loop()
        portion = await self._portion(warehouse, warehouse.position)
        while True:
            taken = loop.run_in_executor(self._thread, warehouse.take, portion)
            # The next portion is read while this one is copied.
            more, following = portion.more, portion
            try:
                if more:
                    following = await self._portion(warehouse, portion.position)
            finally:
                await _ended(taken)
            if not more:
                return warehouse
            portion = following

    async def _portion(self, warehouse: Warehouse, after: Position) -> Portion:
        return await self._store.read(lambda view: warehouse.portion(view, after))


async def _ended(work: asyncio.Future[T], hurry: Callable[[], None] = lambda: None) -> T:
    """What the thread's work gives. Whoever is cancelled leaves once it has ended, not before:

    a portion that was taken twice would count twice.
    """
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        hurry()
        await asyncio.wait([work])
        raise


def _opened(folder: Path, beside: TableFolder | None) -> Warehouse:
    """The warehouse, and the translator with it: else the second question waited for that."""
    try:
        translate = import_module("posthog_local.query.dialect").translate
    except ImportError as error:
        raise QueryRefused(MISSING) from error
    warehouse = Warehouse(folder, None if beside is None else beside.folder)
    translate("SELECT count() FROM events")
    return warehouse
