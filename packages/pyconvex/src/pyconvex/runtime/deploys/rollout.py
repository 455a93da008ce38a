"""Getting the data ready for a deploy while the app in force goes on.

Owns the order: stored documents are checked against the new schema, new indexes are filled, what
was written meanwhile is checked, and at last nothing is written until the deploy is in force. Never
puts anything into force itself. One invariant: when this ends without an error, every document of a
table whose validator changed fits it, and every new index has every document.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Iterator
from functools import partial

import msgspec

from pyconvex import identity
from pyconvex.database import DatabaseError, Transaction
from pyconvex.runtime.app.spec import AppSpec, ComponentSpec, TableSpec
from pyconvex.runtime.calls import HostError
from pyconvex.runtime.commits.system import SystemTransactions
from pyconvex.runtime.isolates.pool import Pool, submit
from pyconvex.runtime.isolates.runs import IsolateGoneError
from pyconvex.runtime.processes import messages
from pyconvex.runtime.running import schema_check
from pyconvex.runtime.running.schema_check import CheckStored, CheckWritten, TableName
from pyconvex.storage import Position, Proposal, StorageFailure

#: Documents, and bytes of them, that one commit puts into new indexes: a few milliseconds of the
#: server's time.
FILL_DOCUMENTS = 200
FILL_BYTES = 512 * 1024

_log = logging.getLogger(__name__)


class Rollout:
    """Prepares the data for `spec`, whose app `pool` has loaded and opened.

    `prepare()`, then commit the deploy with `catch_up` as the last thing before it; `abandon()`
    when that comes to nothing. Raises `DatabaseError` with Convex's text for a document that does
    not fit, or for indexes that cannot be.
    """

    def __init__(self, system: SystemTransactions, pool: Pool, spec: AppSpec) -> None:
        self._system = system
        self._pool = pool
        self._spec = spec
        self._numbers = itertools.count(1)
        self._began = False
        #: Tables whose documents must fit a validator that they were not written under.
        self._changed: list[TableName] = []
        #: Up to here everything that was written to them has been checked.
        self._checked = Position(0, 0)

    async def prepare(self) -> None:
        """Check and fill, a page at a time."""
        self._system.read(self._begin_indexes)  # refuses what cannot be, and is thrown away
        self._checked = Position(self._system.read(lambda tx: tx.head.ts), 0)
        self._changed = self._system.read(self._changed_tables)
        for name in self._changed:
            await self._check_stored(name)
        await self._fill_indexes()
        await self.catch_up()

    async def catch_up(self) -> None:
        """Check what was written since the last call."""
        position: Position | None = self._checked
        while self._changed and position is not None:
            request = CheckWritten(self._changed, position)
            checked, ts = await self._ask(request)
            position = checked.next_position
            self._checked = position or Position(ts, 0)

    async def abandon(self) -> None:
        """Let go of what was begun; what cannot be now is left to the next deploy."""
        if self._began:
            with contextlib.suppress(StorageFailure, HostError):
                await self._system.write(self._abandon_indexes)

    async def _check_stored(self, name: TableName) -> None:
        after: bytes | None = b""
        while after is not None:
            checked, _ = await self._ask(CheckStored(name, after))
            after = checked.next_id

    async def _ask(self, request: schema_check.Request) -> tuple[schema_check.Checked, int]:
        """One page in an isolate of the new app, and the snapshot that it saw."""
        start = messages.Start(
            run_id=-next(self._numbers),
            kind=schema_check.CHECK,
            component="",
            path="",
            args=schema_check.encode_request(request),
            identity=identity.encode(identity.Admin()),
            request_id="",
            now_ms=0.0,
            seed=b"",
            public_only=False,
            announce=False,
            cursor_secret=b"",
            journal=None,
        )
        try:
            finished = await submit(self._pool, start).done
        except IsolateGoneError as gone:
            text = f"Documents could not be checked against the new schema: {gone}"
            raise DatabaseError("SchemaCheckFailed", text) from gone
        checked = schema_check.decode_answer(finished)
        if checked.failure is not None:
            raise DatabaseError("SchemaValidationError", checked.failure)
        return checked, Proposal.decode(finished.proposal).snapshot_ts

    async def _fill_indexes(self) -> None:
        if not self._system.read(self._begin_indexes):
            return
        self._began = True
        for name in await self._system.write(self._begin_indexes):
            _log.info("Filling new indexes of %s", name.table)
            await _fill(self._system, name)

    def _begin_indexes(self, tx: Transaction) -> list[TableName]:
        """Start every new index; the tables that must be filled."""
        return [
            TableName(component.path, table.name)
            for component, table in self._tables()
            if tx.namespace(component.path).begin_indexes(table.name, table.indexes, table.staged)
        ]

    def _abandon_indexes(self, tx: Transaction) -> None:
        for component, table in self._tables():
            tx.namespace(component.path).abandon_indexes(table.name)

    def _changed_tables(self, tx: Transaction) -> list[TableName]:
        """Tables with documents that no deploy has checked against this validator."""
        in_force = {
            component.path: _validators_in_force(tx, component.path)
            for component in self._spec.components
        }
        return [
            TableName(component.path, table.name)
            for component, table in self._tables()
            if table.validator
            and in_force[component.path].get(table.name) != table.validator
            and tx.namespace(component.path).number_of(table.name) is not None
        ]

    def _tables(self) -> Iterator[tuple[ComponentSpec, TableSpec]]:
        for component in self._spec.components:
            for table in component.tables:
                yield component, table


async def fill_staged(system: SystemTransactions, spec: AppSpec) -> None:
    """Put every document into the staged indexes of the app in force, a page at a time."""

    def unfilled(tx: Transaction) -> list[TableName]:
        return [
            TableName(component.path, table.name)
            for component in spec.components
            for table in component.tables
            if table.staged and tx.namespace(component.path).has_unfilled_staged(table.name)
        ]

    for name in system.read(unfilled):
        _log.info("Filling staged indexes of %s", name.table)
        await _fill(system, name)
        await system.write(lambda tx, n=name: tx.namespace(n.component).finish_staged(n.table))  # type: ignore[misc]  # the default binds the loop variable
        _log.info("The staged indexes of %s are filled", name.table)


async def _fill(system: SystemTransactions, name: TableName) -> None:
    after: bytes | None = b""
    while after is not None:
        after = await system.write(partial(_fill_page, name, after))


def _fill_page(name: TableName, after: bytes, tx: Transaction) -> bytes | None:
    return tx.namespace(name.component).fill_page(
        name.table, after, max_documents=FILL_DOCUMENTS, max_bytes=FILL_BYTES
    )


def _validators_in_force(tx: Transaction, path: str) -> dict[str, str]:
    """By table, what names the validator that every stored document fits."""
    row = tx.namespace(path).component()
    if row is None:
        return {}
    try:
        component = msgspec.json.decode(row.definition, type=ComponentSpec)
    except msgspec.ValidationError:
        return {}  # written by another version of this program: check everything
    return {table.name: table.validator for table in component.tables if table.validator}
