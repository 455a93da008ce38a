"""One component's tables inside a transaction.

Owns Convex's point operations, scans, ids and queues for one component, and their texts. Never sees
another component's tables. One invariant: an id is only ever resolved through this component's own
table numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from pyconvex.database import declarations, documents, registry
from pyconvex.database.bounds import EVERYTHING, Bounds, interval_of
from pyconvex.database.buffer import Pending
from pyconvex.database.catalog import (
    BY_CREATION_TIME,
    BY_ID,
    ENV,
    QUEUES,
    TableInfo,
    with_ties,
)
from pyconvex.database.draft import Draft
from pyconvex.database.errors import DatabaseError
from pyconvex.database.limits import Usage
from pyconvex.database.registry import ComponentRow
from pyconvex.values import UNSET, InvalidId, Value, codec, ids

#: Indexes by name, as they are declared: their fields without the ties.
Declared: TypeAlias = Mapping[str, Sequence[str]]
_NOTHING_DECLARED: Declared = MappingProxyType({})

_READ_ONLY = "System tables (prefixed with `_`) are read-only."
_WRONG_DOOR = "System tables can only be accessed with db.system."


class Namespace:
    """The tables, variables and queues of the component at `path`; the root is "".

    Also resolves id validators: `number_of` and `name_of` record what they looked up.
    """

    def __init__(self, draft: Draft, path: str, *, system: bool) -> None:
        self.path = path
        self._draft = draft
        self._system = system
        #: Queues that were appended to; looked up, and so read, once.
        self._queues: dict[str, int] = {}

    @property
    def system(self) -> Namespace:
        """The same component with its `_…` tables open."""
        return Namespace(self._draft, self.path, system=True)

    # --- documents

    def get(self, id: str, table: str | None = None) -> dict[str, Value] | None:
        """The document, or None when there is none by that id."""
        located = self._locate("db.get", id, table)
        if located is None:
            return None
        if located[0].name.startswith("_") and not self._system:
            raise DatabaseError("SystemTableError", _WRONG_DOOR)
        found = self._draft.fetch(*located)
        return None if found is None or found.doc is None else documents.decode_document(found.doc)

    def insert(self, table: str, value: Mapping[str, object], internal: bytes | None = None) -> str:
        """Add a document and return its id; the table comes into being with its first one.

        `internal` makes it the counterpart of a document of another table: see `counterpart`.
        """
        given = documents.canonical("db.insert", value)
        info = self._table_to_write(table)
        internal = internal or self._draft.new_id()
        id = ids.encode_id(info.number, internal)
        creation_time = self._draft.next_creation_time()
        documents.check_system_fields(given, id, creation_time)
        document = {**given, "_id": id, "_creationTime": creation_time}
        self._write(info, internal, self._draft.buffer.get(info.tablet, internal), document)
        return id

    def patch(self, id: str, fields: Mapping[str, object], table: str | None = None) -> None:
        """Set top-level fields; `UNSET` removes one."""
        given = documents.canonical("db.patch", fields)
        removed = [name for name, value in fields.items() if value is UNSET]
        info, found, document = self._existing("db.patch", "Update", id, table)
        self._check_own_fields(document, {**given, **dict.fromkeys(removed)})
        merged = {name: value for name, value in document.items() if name not in removed}
        self._write(info, found.id, found, {**merged, **given})

    def replace(self, id: str, value: Mapping[str, object], table: str | None = None) -> None:
        """Set all fields; `_id` and `_creationTime` stay."""
        given = documents.canonical("db.replace", value)
        info, found, document = self._existing("db.replace", "Replace", id, table)
        self._check_own_fields(document, given)
        kept = {name: document[name] for name in documents.SYSTEM_FIELDS}
        self._write(info, found.id, found, {**given, **kept})

    def delete(self, id: str, table: str | None = None) -> None:
        info, found, _ = self._existing("db.delete", "Delete", id, table)
        self._count_write(len(found.doc or b""))
        self._draft.put(info, found.id, found, None)

    def scan(
        self,
        table: str,
        index: str = BY_CREATION_TIME,
        bounds: Bounds = EVERYTHING,
        *,
        descending: bool = False,
        expect: int | None = None,
    ) -> Iterator[dict[str, Value]]:
        """Documents in index order, lazily; the read set grows only with what is consumed."""
        for _, document in self.walk(table, index, bounds, descending=descending, expect=expect):
            yield document

    def walk(
        self,
        table: str,
        index: str = BY_CREATION_TIME,
        bounds: Bounds = EVERYTHING,
        *,
        descending: bool = False,
        after: bytes | None = None,
        through: bytes | None = None,
        expect: int | None = None,
        admit: Callable[[int], bool] | None = None,
    ) -> Iterator[tuple[bytes, dict[str, Value]]]:
        """As `scan`, with each document's key: the position behind it, for cursors.

        `after` begins behind a position, `through` ends with one, both in the walk's direction.
        `admit` is asked with each document's bytes before it counts as read; False ends the walk.
        """
        info = self._table_to_read(table)
        if info is None:
            return
        index_id, start, end = self._interval(info, index, bounds)
        first, last = (through, after) if descending else (after, through)
        if first is not None:
            start = max(start, first if descending else first + b"\0")
        if last is not None:
            stop = last if descending else last + b"\0"
            end = stop if end is None else min(end, stop)
        rows = self._draft.scan(
            index_id, info.tablet, start, end, descending=descending, expect=expect, admit=admit
        )
        wanted = dict(bounds.equal).get("_id", UNSET) if index == BY_ID else UNSET
        for row in rows:
            document = documents.decode_document(row.doc)
            if wanted is UNSET or document["_id"] == wanted:
                yield row.key, document

    def index_fields(self, table: str, index: str) -> tuple[str, ...]:
        """The fields of an index's key, tie-breaks included; empty when there is no such index.

        A table that is still to come has its built-in indexes already.
        """
        if index == BY_ID:
            return ("_id",)
        info = self._table_to_read(table)
        if index == BY_CREATION_TIME:
            return with_ties(())
        found = info.indexes.get(index) if info is not None else None
        return found.fields if found is not None else ()

    @property
    def usage(self) -> Usage:
        """What the transaction has read and written up to now, in all namespaces."""
        return self._draft.usage

    def normalize_id(self, table: str, text: str) -> str | None:
        """The id if it is one of that table, else None; existence is not tested."""
        info = self._draft.table_named(self.path, table)
        try:
            return text if info and ids.decode_id(text).table_number == info.number else None
        except InvalidId:
            return None

    def counterpart(self, table: str, id: str) -> str:
        """The id that a document of `table` has which shares its internal id with `id`."""
        info = self._table_to_write(table)
        return ids.encode_id(info.number, ids.decode_id(id).internal)

    # --- table numbers, for id validators

    def number_of(self, table: str) -> int | None:
        info = self._draft.table_named(self.path, table)
        return info.number if info is not None else None

    def name_of(self, number: int) -> str | None:
        info = self._draft.table_numbered(self.path, number)
        return info.name if info is not None else None

    # --- queues, variables, the component itself

    def enqueue(self, queue: str, body: bytes) -> None:
        """Append a row to one of the component's queues, if and when the transaction commits."""
        number = self._queues.get(queue)
        if number is None:
            number = self.queue_number(queue)
            if number is None:
                raise DatabaseError(
                    "QueueNotFound", f"There is no queue named {queue}. Define it on the component."
                )
            self._queues[queue] = number
        self._draft.enqueue(number, body)

    def queue_number(self, queue: str) -> int | None:
        """The number under which storage knows a queue."""
        rows = self._draft.registry_rows(QUEUES, "by_name", self.path, queue)
        return registry.whole(rows[0]["number"]) if rows else None

    def env(self, name: str) -> str | None:
        """A variable that was set for this component; a read of that variable alone."""
        rows = self._draft.registry_rows(ENV, "by_name", self.path, name)
        return str(rows[0]["value"]) if rows else None

    def env_all(self) -> dict[str, str]:
        """All variables of this component; a read of them all, also of ones not yet set."""
        rows = self._draft.registry_rows(ENV, "by_name", self.path)
        return {str(row["name"]): str(row["value"]) for row in rows}

    def component(self) -> ComponentRow | None:
        """What is deployed at this path."""
        return registry.component_at(self._draft, self.path)

    def component_version(self) -> str | None:
        """The version that is deployed at this path: what a run's code depends on."""
        row = self.component()
        return row.version if row is not None else None

    # --- what a deploy writes

    def declare_table(
        self, name: str, indexes: Declared, staged: Declared = _NOTHING_DECLARED
    ) -> None:
        """Create a table if need be and give it exactly these indexes, new ones filled.

        Those in `staged` are maintained and not queried; `fill_page` and `finish_staged` fill them
        at leisure.
        """
        _check_table_name(name, system=self._system)
        declarations.declare_table(self._draft, self.path, name, _tuples(indexes), _tuples(staged))

    def begin_indexes(
        self, name: str, indexes: Declared, staged: Declared = _NOTHING_DECLARED
    ) -> bool:
        """Have writes maintain the indexes that a table is to get; True when `fill_page` must put
        its documents into them before `declare_table` puts them into force.
        """
        _check_table_name(name, system=self._system)
        return declarations.begin_indexes(
            self._draft, self.path, name, _tuples(indexes), _tuples(staged)
        )

    def has_unfilled_staged(self, name: str) -> bool:
        """True when documents are missing in staged indexes of this table."""
        info = self._draft.table_named(self.path, name)
        return info is not None and any(i.id not in info.filled for i in info.staged.values())

    def finish_staged(self, name: str) -> None:
        """Note that `fill_page` has put every document into the staged indexes."""
        declarations.finish_staged(self._draft, self.path, name)

    def fill_page(
        self, name: str, after: bytes, *, max_documents: int, max_bytes: int
    ) -> bytes | None:
        """Put some of a table's documents into the indexes that are being built; where to go on,
        None when all are in.
        """
        return declarations.fill_page(
            self._draft, self.path, name, after, max_documents=max_documents, max_bytes=max_bytes
        )

    def abandon_indexes(self, name: str) -> None:
        """Let go of the indexes that are being built for a table."""
        declarations.abandon_indexes(self._draft, self.path, name)

    def index_names(self, table: str) -> list[str]:
        """The indexes that a table was declared with, finished or not."""
        info = self._draft.table_named(self.path, table)
        if info is None:
            return []
        return [index.name for index in info.maintained if index.name != BY_CREATION_TIME]

    def declare_queue(self, name: str) -> int:
        """Create a queue if need be; returns the number under which storage knows it."""
        return registry.declare_queue(self._draft, self.path, name)

    def set_env(self, name: str, value: str | None) -> None:
        """Set a variable, or remove it with None."""
        registry.set_env(self._draft, self.path, name, value)

    def set_component(self, version: str, definition: str) -> None:
        """Record what is deployed at this path; `definition` is JSON that this room never opens."""
        registry.set_component(self._draft, ComponentRow(self.path, version, definition))

    def remove_component(self) -> None:
        """Forget what is deployed at this path; its tables stay."""
        registry.set_component(self._draft, ComponentRow(self.path, None, ""))

    def table_names(self) -> list[str]:
        """The component's tables; a read of the whole list."""
        return registry.table_names(self._draft, self.path)

    # --- inside

    def _locate(self, method: str, id: str, table: str | None) -> tuple[TableInfo, bytes] | None:
        """The table and internal id that an id names; None when its table number is unknown."""
        if not isinstance(id, str):
            raise DatabaseError(
                "InvalidArgument",
                f"Invalid argument `id` for `{method}`, expected string but got "
                f"'{type(id).__name__}'",
            )
        try:
            decoded = ids.decode_id(id)
        except InvalidId as error:
            raise DatabaseError(
                "InvalidArgument", f"Invalid argument `id` for `{method}`: {error}"
            ) from error
        info = self._draft.table_numbered(self.path, decoded.table_number)
        if info is None:
            return None
        if table is not None and info.name != table:
            raise DatabaseError(
                "InvalidArgument",
                f"Invalid argument `id` for `{method}`: expected to be an "
                f'Id<"{table}">, got Id<"{info.name}"> instead.',
            )
        return info, decoded.internal

    def _existing(
        self, method: str, verb: str, id: str, table: str | None
    ) -> tuple[TableInfo, Pending, dict[str, Value]]:
        located = self._locate(method, id, table)
        if located is not None:
            info, internal = located
            if info.name.startswith("_") and not self._system:
                raise DatabaseError("SystemTableError", _READ_ONLY)
            found = self._draft.fetch(info, internal)
            if found is not None and found.doc is not None:
                document = documents.decode_document(found.doc)
                stored = found.stored
                if stored is not None and not stored.keys:  # not written yet: this is the version
                    stored = stored._replace(keys=info.keys_of(document))
                return info, found._replace(stored=stored), document
        raise DatabaseError("NonexistentDocument", f"{verb} on nonexistent document ID {id}")

    def _check_own_fields(self, document: Mapping[str, Value], given: Mapping[str, Value]) -> None:
        creation_time = document["_creationTime"]
        assert isinstance(creation_time, float)
        documents.check_system_fields(given, str(document["_id"]), creation_time)

    def _write(
        self, info: TableInfo, internal: bytes, before: Pending | None, document: dict[str, Value]
    ) -> None:
        size = documents.check_document(document)
        doc = codec.encode_pending(document)
        if before is not None and before.doc == doc:
            return  # changing nothing wakes nobody and meets no schema
        if self._draft.check is not None:
            self._draft.check(self.path, self, info.name, document)
        self._count_write(size)
        self._draft.put(info, internal, before, (doc, document))

    def _count_write(self, size: int) -> None:
        """Count a write against the function's limits; the host's own are not its business."""
        if not self._system:
            self._draft.usage.count_write(size)

    def _table_to_read(self, table: str) -> TableInfo | None:
        if table.startswith("_") and not self._system:
            raise DatabaseError("SystemTableError", _WRONG_DOOR)
        return self._draft.table_named(self.path, table)

    def _table_to_write(self, table: str) -> TableInfo:
        if table.startswith("_") and not self._system:
            raise DatabaseError("SystemTableError", _READ_ONLY)
        info = self._draft.table_named(self.path, table)
        if info is None:
            _check_table_name(table, system=self._system)
            info = registry.create_table(self._draft, self.path, table)
        return info

    def _interval(
        self, info: TableInfo, index: str, bounds: Bounds
    ) -> tuple[int, bytes, bytes | None]:
        if index == BY_ID:
            return info.tablet, *_id_interval(info, bounds)
        found = info.indexes.get(index)
        if found is None and index in info.staged:
            raise DatabaseError(
                "IndexStaged",
                f"Index {info.name}.{index} is currently staged and not available to query. Once "
                "it is built, declare it without `staged` to use it.",
            )
        if found is None and index not in info.building:
            there = ", ".join(sorted((*info.indexes, BY_ID)))
            raise DatabaseError(
                "IndexNotFound",
                f"Index {info.name}.{index} not found. Indexes of {info.name}: {there}.",
            )
        if found is None or any(
            entry.index_id == found.id for entry in self._draft.buffer.backfill
        ):
            raise DatabaseError(
                "IndexNotReady",
                f"Index {info.name}.{index} is currently backfilling and not available to query "
                "yet.",
            )
        return found.id, *interval_of(f"{info.name}.{index}", found.fields, bounds)


def _tuples(indexes: Declared) -> dict[str, tuple[str, ...]]:
    return {index: tuple(fields) for index, fields in indexes.items()}


def _id_interval(info: TableInfo, bounds: Bounds) -> tuple[bytes, bytes | None]:
    """`by_id` is ordered by internal ids: one point for an id of the table, nothing for others."""
    interval_of(f"{info.name}.{BY_ID}", ("_id",), bounds)
    if bounds.lower is not None or bounds.upper is not None:
        raise DatabaseError(
            "InvalidIndexRange", f"Index {info.name}.{BY_ID} takes no range, only one `_id`."
        )
    if not bounds.equal:
        return b"", None
    try:
        decoded = ids.decode_id(str(bounds.equal[0][1]))
    except InvalidId:
        return b"", b""
    if decoded.table_number != info.number:
        return b"", b""
    return decoded.internal, decoded.internal + b"\0"


def _check_table_name(name: str, *, system: bool) -> None:
    bare = name[1:] if system and name.startswith("_") else name
    valid = bare[:1].isalpha() and bare.replace("_", "a").isalnum() and bare.isascii()
    if not valid or len(name) > 64:
        raise DatabaseError(
            "InvalidTableName",
            f"Invalid table name: {name} is not a valid identifier: it must start with a letter, "
            "hold only letters, digits and underscores, and have at most 64 characters.",
        )
