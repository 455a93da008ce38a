"""A deployment's tables as a source for dlt, for the destinations that this room has not.

Owns one resource that walks the stream for all tables, its place in dlt's state, and the hints.
Never loads. Invariant: rows and position leave in the same package, so dlt commits both or neither.

dlt loads table by table, so readers may see one table's new rows before another's: `_convex_sync`
holds the timestamp of the last whole snapshot, or null while one is being loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import dlt
import msgspec

from posthog_convex.warehouse.documents import decoding
from posthog_convex.warehouse.documents.columns import Column, Kind, Schema
from posthog_convex.warehouse.documents.decoding import Revisions
from posthog_convex.warehouse.source.deployment import Deployment, HttpSource, Source
from posthog_convex.warehouse.source.pager import Api, Pager
from posthog_convex.warehouse.source.retry import Expired
from posthog_convex.warehouse.source.steps import Position, Step
from posthog_convex.warehouse.sync.opening import CLOCK
from posthog_convex.warehouse.tables.names import table_name
from posthog_convex.warehouse.tables.ref import TableRef
from posthog_convex.warehouse.tables.selection import Selection

if TYPE_CHECKING:
    import pyarrow

STATE = "convex"
DltMode = Literal["merge", "append_log"]


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A table that dlt has loaded, or is loading."""

    ref: TableRef
    name: str
    schema: Schema = Schema()
    #: What kind each column was first loaded as: destinations do not change a column's type.
    kinds: dict[str, Kind] = {}


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept in dlt's state."""

    position: Position | None = None
    tables: tuple[Loaded, ...] = ()
    snapshot_ts: int | None = None
    idle: bool = False


@dlt.source(name="convex")
def convex_source(
    deployment_url: str = dlt.config.value,
    deploy_key: str = dlt.secrets.value,
    include: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    exclude_columns: tuple[str, ...] = (),
    mode: DltMode = "merge",
    max_pages: int | None = None,
    api: str = "auto",
    source: Any = None,
) -> Any:
    """The tables of a Convex deployment: this project's host, Convex Cloud or self-hosted.

    `merge` keeps the documents that are; `append_log` keeps every revision, with `_ts` and
    `_deleted`. A run ends when it is up to date, after `max_pages`, and before and after a table
    that was replaced: use `run_until_up_to_date`. `source` is for tests.
    """
    selection = Selection(include=include, exclude=exclude, exclude_columns=exclude_columns)
    asked: Source = source or HttpSource(Deployment(url=deployment_url, key=deploy_key))

    @dlt.resource(name="convex_tables", max_table_nesting=0)
    def convex_tables() -> Iterator[Any]:
        state = dlt.current.source_state()
        before = msgspec.convert(state.get(STATE, {}), State)
        beginning = Api(api).beginning()
        pager = Pager(asked, selection, CLOCK, position=before.position or beginning, api=Api(api))
        after = before
        for items, after in _Extract(pager, before, mode).pages(max_pages, beginning):
            yield from items
            state[STATE] = msgspec.to_builtins(after)
        yield _told(after)

    return convex_tables


def run_until_up_to_date(pipeline: Any, make_source: Any, **options: Any) -> State:
    """Run the pipeline until the deployment has nothing more; what dlt's state then says.

    `make_source` makes a new `convex_source(…)` for each run.
    """
    while True:
        source = make_source()
        pipeline.run(source, **options).raise_on_failed_jobs()
        found = pipeline.state["sources"].get(source.name, {}).get(STATE)
        state = msgspec.convert(found or {}, State)
        if state.idle:
            return state


class _Extract:
    """One run of the resource."""

    def __init__(self, pager: Pager, state: State, mode: DltMode) -> None:
        self._pager = pager
        self._tables = {table.ref: table for table in state.tables}
        self._snapshot_ts = state.snapshot_ts
        self._mode = mode

    def pages(
        self, max_pages: int | None, beginning: Position
    ) -> Iterator[tuple[list[Any], State]]:
        """What each page yields, and the state once it is yielded."""
        missing = self._missing()
        number = 0
        while max_pages is None or number < max_pages:
            page = self._pager.next()
            if isinstance(page, Expired):
                self._pager.position = beginning
                self._snapshot_ts = None
                continue
            gone = set(page.dropped or ()) - set(page.truncates)
            if page.snapshot_ts is not None:
                gone |= missing - {*page.truncates, *page.revisions}
            emptied = {ref for ref in (*page.truncates, *gone) if ref in self._tables}
            if emptied and number:
                return  # a table is either replaced or merged into in one package, never both
            number += 1
            yield self._page(page, emptied, gone)
            if emptied or page.idle:
                return

    def _missing(self) -> set[TableRef]:
        listed = self._pager.tables() if self._tables else None
        return set() if listed is None else set(self._tables) - listed

    def _page(
        self, page: Step, emptied: set[TableRef], gone: set[TableRef]
    ) -> tuple[list[Any], State]:
        items = []
        for ref in sorted({*page.truncates, *page.revisions, *emptied}):
            revisions = page.revisions.get(ref, Revisions([], [], []))
            items.append(self._item(ref, revisions, replaces=ref in emptied))
        for ref in gone:
            self._tables.pop(ref, None)
        self._snapshot_ts = page.snapshot_ts
        after = State(
            position=page.position,
            tables=tuple(self._tables.values()),
            snapshot_ts=page.snapshot_ts,
            idle=page.idle,
        )
        return items, after

    def _item(self, ref: TableRef, revisions: Revisions, *, replaces: bool) -> Any:
        table = self._tables.get(ref)
        if table is None:
            taken = [known.name for known in self._tables.values()]
            table = Loaded(ref=ref, name=table_name(ref, taken))
        batch, schema = decoding.decode(revisions, table.schema)
        kinds = {column.field: column.kind for column in schema.columns} | {
            field: kind for field, kind in table.kinds.items() if kind is not Kind.VOID
        }
        self._tables[ref] = Loaded(ref=ref, name=table.name, schema=schema, kinds=kinds)
        if self._mode == "merge":
            batch = _latest(batch, alive_only=replaces)
        hints = self._hints(table.name, replaces=replaces)
        return dlt.mark.with_hints(_named(batch, schema, kinds), hints, create_table_variant=True)

    def _hints(self, name: str, *, replaces: bool) -> Any:
        columns: Any = {
            "_id": {"data_type": "text", "nullable": False},
            "_deleted": {"data_type": "bool"},
            "_ts": {"data_type": "bigint"},
        }
        if self._mode == "append_log":
            return dlt.mark.make_hints(table_name=name, columns=columns, write_disposition="append")
        columns["_deleted"]["hard_delete"] = True
        columns["_ts"]["dedup_sort"] = "desc"
        return dlt.mark.make_hints(
            table_name=name,
            primary_key="_id",
            columns=columns,
            write_disposition="replace" if replaces else "merge",
        )


def _latest(batch: pyarrow.Table, *, alive_only: bool) -> pyarrow.Table:
    """Each document's last revision; a package that replaces a table has no use for deletions."""
    import pyarrow as pa

    last = {id: number for number, id in enumerate(batch.column("_id").to_pylist())}
    found = batch.take(pa.array(sorted(last.values()), pa.int64()))
    if alive_only:
        import pyarrow.compute as pc

        found = found.filter(pc.invert(found.column("_deleted")))
    return found


def _named(batch: pyarrow.Table, schema: Schema, kinds: dict[str, Kind]) -> pyarrow.Table:
    """The batch under the names that the destination has for its types.

    A column whose kind has widened goes on under another name, as dlt itself does it: its older
    values stay where they are.
    """
    import pyarrow as pa

    system = ["_id", "_creationTime", "_creationTime_ms", "_ts", "_deleted"]
    arrays: dict[str, Any] = {name: batch.column(name) for name in system}
    if schema.has_nulls:
        arrays["_null_fields"] = batch.column("_null_fields")
    for column in schema.columns:
        if column.kind is not Kind.VOID:
            arrays[_name(column, kinds)] = batch.column(column.name)
    return pa.table(arrays)


def _name(column: Column, kinds: dict[str, Kind]) -> str:
    if kinds[column.field] is column.kind:
        return column.name
    return f"{column.name}__v_{column.kind.value}"


def _told(state: State) -> Any:
    import pyarrow as pa

    row = pa.table(
        {
            "snapshot_ts": pa.array([state.snapshot_ts], pa.int64()),
            "up_to_date": pa.array([state.idle], pa.bool_()),
            "tables": pa.array([len(state.tables)], pa.int64()),
        }
    )
    hints = dlt.mark.make_hints(table_name="_convex_sync", write_disposition="replace")
    return dlt.mark.with_hints(row, hints, create_table_variant=True)
