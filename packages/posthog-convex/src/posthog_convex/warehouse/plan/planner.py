"""What a step does to a destination, as a list of actions and the progress after them.

Owns the state machine of the sync: a page in, actions out. Never touches a destination, a clock or
the network. Invariant: readers see `live` generations only, and those change with nothing but a
publication, which holds for all tables at once: so what they see is always one snapshot.

    truncate   -> a generation begins beside the live one
    revisions  -> into the generation that is being filled, else into the changes to the live one
    snapshot   -> generations take their places, changes are merged, tables that are gone go
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import msgspec

from posthog_convex.warehouse.documents.columns import Schema
from posthog_convex.warehouse.documents.decoding import Revisions
from posthog_convex.warehouse.plan.actions import (
    Action,
    Append,
    Create,
    Discard,
    Hide,
    Merge,
    Plan,
    Rename,
    Reshape,
    Settle,
    Show,
    Succeed,
)
from posthog_convex.warehouse.plan.progress import Generation, Mode, OnDrop, Progress, Table
from posthog_convex.warehouse.source.steps import Step
from posthog_convex.warehouse.tables import names
from posthog_convex.warehouse.tables.ref import TableRef

if TYPE_CHECKING:
    import pyarrow


Decode = Callable[[Revisions, Schema], "tuple[pyarrow.Table, Schema]"]


def planned(
    progress: Progress,
    step: Step,
    decode: Decode,
    *,
    now_ms: int,
    on_drop: OnDrop = OnDrop.ARCHIVE,
    missing: Collection[TableRef] = (),
) -> Plan:
    """What an answer does. `missing`: tables that were gone already before the answer was asked."""
    planner = _Planner(progress, decode)
    for ref in step.dropped or ():
        planner.leave(ref)
    for ref in step.truncates:
        planner.begin(ref)
    for ref, revisions in step.revisions.items():
        planner.add(ref, revisions)
    publishes = step.snapshot_ts is not None
    if step.snapshot_ts is not None:
        gone = _gone(progress, planner.tables, missing)
        planner.publish(step.snapshot_ts, gone, on_drop)
    after = msgspec.structs.replace(
        progress,
        position=step.position,
        tables=tuple(planner.tables.values()),
        archived=(*progress.archived, *planner.archived),
        next_generation=planner.next_generation,
        shadow=progress.shadow and not publishes,
        snapshot_ts=step.snapshot_ts if publishes else progress.snapshot_ts,
        idle=step.idle,
        pages=progress.pages + 1,
        rows=progress.rows + step.rows,
        page_at_ms=now_ms,
        retention_s=step.retention_s,
    )
    return Plan(tuple(planner.actions), after, publishes)


def _gone(
    progress: Progress, tables: dict[TableRef, Table], missing: Collection[TableRef]
) -> set[TableRef]:
    """Which tables the deployment has no more."""
    gone = {ref for ref, table in tables.items() if table.leaving}
    if progress.shadow:
        gone |= {ref for ref, table in tables.items() if table.next is None}
    return {ref for ref in gone.union(missing) if progress.selection.allows(ref)}


class _Planner:
    def __init__(self, progress: Progress, decode: Decode) -> None:
        self.actions: list[Action] = []
        self.tables = {table.ref: table for table in progress.tables}
        self.next_generation = progress.next_generation
        self.archived: list[Table] = []
        self._decode = decode
        self._progress = progress

    def leave(self, ref: TableRef) -> None:
        """The deployment dropped a table; what comes after that is another one."""
        table = self.tables.get(ref)
        if table is not None and not table.gone:
            self._drop_waiting(table)
            self.tables[ref] = msgspec.structs.replace(table, next=None, changes=None, leaving=True)

    def begin(self, ref: TableRef) -> Table:
        """A new generation of a table, empty, beside what readers see."""
        table = self.tables.get(ref) or self._named(ref)
        self._drop_waiting(table)
        schema = Schema()
        if table.live is not None and self._progress.mode is not Mode.HARD:
            schema = table.live.schema  # old rows move over to the new generation
        generation = Generation(self.next_generation, schema)
        self.next_generation += 1
        table = msgspec.structs.replace(
            table, next=generation, changes=None, gone=False, leaving=False
        )
        self.actions.append(Create(rows_of(table, generation), generation.schema))
        self.tables[ref] = table
        return table

    def add(self, ref: TableRef, revisions: Revisions) -> None:
        """Revisions, to where this table's revisions go now."""
        table = self.tables.get(ref)
        if table is None or not _takes_rows(table, shadow=self._progress.shadow):
            table = self.begin(ref)
        place, schema = self._place(table)
        batch, wider = self._decode(revisions, schema)
        if wider != schema:
            self.actions.append(Reshape(place, schema, wider))
        self.actions.append(Append(place, batch))
        if table.next is not None:
            generation = Generation(table.next.number, wider)
            self.tables[ref] = msgspec.structs.replace(table, next=generation)
        else:
            self.tables[ref] = msgspec.structs.replace(table, changes=wider)

    def publish(self, ts: int, gone: set[TableRef], on_drop: OnDrop) -> None:
        """Everything that waits becomes what readers see."""
        for ref, table in list(self.tables.items()):
            if ref in gone and not table.gone:
                self._part(table, ts, on_drop)
            elif table.next is not None:
                self._take_over(table, table.next, ts)
            elif table.changes is not None and table.live is not None:
                self._merge(table, table.live, table.changes, ts)

    def _place(self, table: Table) -> tuple[str, Schema]:
        if table.next is not None:
            return rows_of(table, table.next), table.next.schema
        assert table.live is not None
        if table.changes is None:
            self.actions.append(Create(changes_of(table), table.live.schema))
            return changes_of(table), table.live.schema
        return changes_of(table), table.changes

    def _take_over(self, table: Table, filled: Generation, ts: int) -> None:
        rows = rows_of(table, filled)
        self.actions.append(Settle(rows))
        if table.live is not None and self._progress.mode is not Mode.HARD:
            previous = rows_of(table, table.live)
            if table.live.schema != filled.schema:
                self.actions.append(Reshape(previous, table.live.schema, filled.schema))
            self.actions.append(Succeed(rows, previous, ts))
        self.actions.append(Show(table.name, rows, filled.schema))
        if table.live is not None:
            self.actions.append(Discard(rows_of(table, table.live)))
        self.tables[table.ref] = msgspec.structs.replace(
            table, live=filled, next=None, changes=None, changed_ts=ts
        )

    def _merge(self, table: Table, live: Generation, changes: Schema, ts: int) -> None:
        rows = rows_of(table, live)
        if changes != live.schema:
            self.actions.append(Reshape(rows, live.schema, changes))
        self.actions += [
            Merge(rows, changes_of(table), table.name),
            Discard(changes_of(table)),
        ]
        if changes != live.schema:
            self.actions.append(Show(table.name, rows, changes))
        self.tables[table.ref] = msgspec.structs.replace(
            table, live=Generation(live.number, changes), changes=None, changed_ts=ts
        )

    def _part(self, table: Table, ts: int, on_drop: OnDrop) -> None:
        """With a table that the deployment has no more."""
        self._drop_waiting(table)
        del self.tables[table.ref]
        if table.live is None:
            return
        rows = rows_of(table, table.live)
        if on_drop is OnDrop.KEEP:
            self.tables[table.ref] = msgspec.structs.replace(
                table, next=None, changes=None, leaving=False, gone=True
            )
            return
        self.actions.append(Hide(table.name))
        if on_drop is OnDrop.DROP:
            self.actions.append(Discard(rows))
            return
        archived = msgspec.structs.replace(
            table, name=f"{table.name}__dropped_{ts}", next=None, changes=None, gone=True
        )
        new_rows = rows_of(archived, table.live)
        self.actions += [Rename(rows, new_rows), Show(archived.name, new_rows, table.live.schema)]
        self.archived.append(archived)

    def _drop_waiting(self, table: Table) -> None:
        if table.next is not None:
            self.actions.append(Discard(rows_of(table, table.next)))
        if table.changes is not None:
            self.actions.append(Discard(changes_of(table)))

    def _named(self, ref: TableRef) -> Table:
        taken = [table.name for table in self.tables.values()]
        return Table(ref=ref, name=names.table_name(ref, taken))


def _takes_rows(table: Table, *, shadow: bool) -> bool:
    """Whether revisions have a place: without one, they begin a generation."""
    if table.next is not None:
        return True
    return table.live is not None and not (table.gone or table.leaving or shadow)


def rows_of(table: Table, generation: Generation) -> str:
    """Where a generation's rows are. No table of Convex has such a name."""
    return f"{table.name}@{generation.number}"


def changes_of(table: Table) -> str:
    """Where changes to a table's live rows wait."""
    return f"{table.name}@changes"
