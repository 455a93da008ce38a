"""The indexes of a table: declaring them, filling them, letting them go.

Owns what may be declared, and how an index comes into force while its table is written to. Never
commits: these are ordinary buffered writes of a deploy. One invariant: no query sees an index in
which a document may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from pyconvex.database import registry
from pyconvex.database.catalog import BY_CREATION_TIME, BY_ID, IndexInfo, TableInfo, with_ties
from pyconvex.database.documents import decode_document
from pyconvex.database.draft import Draft
from pyconvex.database.errors import DatabaseError
from pyconvex.storage import IndexEntry

MAX_INDEXES = 64  # Convex: MAX_INDEXES_PER_TABLE
MAX_INDEX_FIELDS = 16
#: Indexes by name, with the fields that they were declared with.
Fields: TypeAlias = Mapping[str, tuple[str, ...]]
_INDEX_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def declare_table(draft: Draft, component: str, name: str, indexes: Fields, staged: Fields) -> None:
    """Make a table have exactly `indexes` and `staged`; lets go of those that are gone.

    Those that were begun with `begin_indexes`, or staged and are so no more, must be filled. Others
    that are new are filled here, in this one transaction, but for the staged ones.
    """
    _check_declared(name, indexes, staged)
    table = draft.table_named(component, name) or registry.create_table(draft, component, name)
    known = (table.indexes, table.building, table.staged)
    kept, added = _split(known, indexes)
    kept_staged, added_staged = _split(known, staged)
    kept_staged.pop(BY_CREATION_TIME, None)
    still = {info.id for info in (*kept.values(), *kept_staged.values())}
    dropped = [info.id for info in table.maintained if info.id not in still]
    same = kept == table.indexes and kept_staged == table.staged
    if same and not (added or added_staged or dropped or table.building):
        return
    if added and draft.buffer.touches(table.tablet):
        raise DatabaseError(
            "IndexNotReady", f"Declare the indexes of {name} before writing to it, not after."
        )
    new = _number(table, [*added, *added_staged])
    filled, unfilled = new[: len(added)], new[len(added) :]
    missing = {info.id for info in table.staged.values()} - table.filled
    changed = table._replace(
        indexes=kept | {info.name: info for info in filled},
        building={},
        staged=kept_staged | {info.name: info for info in unfilled},
        filled=frozenset(info.id for info in kept_staged.values() if info.id not in missing),
        next_serial=table.next_serial + len(new),
    )
    registry.change_table(draft, changed)
    draft.buffer.dropped_indexes.extend(dropped)
    _fill(draft, table, filled)


def begin_indexes(draft: Draft, component: str, name: str, indexes: Fields, staged: Fields) -> bool:
    """Have writes maintain, from this commit on, the indexes that a table is to get.

    What it has stays as it is and serves queries. True when there are documents to be filled in by
    `fill_page`; `declare_table` puts the new ones into force, `abandon_indexes` lets them go.
    """
    _check_declared(name, indexes, staged)
    table = draft.table_named(component, name)
    if table is None:
        declare_table(draft, component, name, indexes, staged)
        return False
    ready, _ = _split((table.indexes, table.staged), indexes)
    building, added = _split(
        (table.building,), {k: fields for k, fields in indexes.items() if k not in ready}
    )
    dropped = [info.id for info in table.building.values() if info not in building.values()]
    new = _number(table, added)
    building.update((info.name, info) for info in new)
    if new or dropped:
        registry.change_table(
            draft, table._replace(building=building, next_serial=table.next_serial + len(new))
        )
        draft.buffer.dropped_indexes.extend(dropped)
    wanted = {info.id for info in ready.values()}
    return bool(building) or any(info.id in wanted for info in table.unfinished)


def fill_page(
    draft: Draft,
    component: str,
    name: str,
    after: bytes,
    *,
    max_documents: int,
    max_bytes: int,
) -> bytes | None:
    """Give some documents their places in the indexes that are being built, in the order of ids.

    `after` is empty at first, then what the call before returned; None means that all are in.
    Raises nothing when the table has meanwhile lost its unfinished indexes: there is nothing to do.
    """
    table = draft.table_named(component, name)
    if table is None or not table.unfinished:
        return None
    start = after + b"\0" if after else b""
    size = 0
    rows = draft.scan(table.tablet, table.tablet, start, None, counted=False, expect=max_documents)
    for count, row in enumerate(rows, 1):
        document = decode_document(row.doc)
        for index in table.unfinished:
            draft.add_backfill(IndexEntry(index.id, index.key_of(document), row.id))
        size += len(row.doc)
        if count >= max_documents or size >= max_bytes:
            rows.close()
            return row.id
    return None


def abandon_indexes(draft: Draft, component: str, name: str) -> None:
    """Let go of a table's unfinished indexes, whose deploy came to nothing."""
    table = draft.table_named(component, name)
    if table is not None and table.building:
        registry.change_table(draft, table._replace(building={}))
        draft.buffer.dropped_indexes.extend(info.id for info in table.building.values())


def finish_staged(draft: Draft, component: str, name: str) -> None:
    """Note that the staged indexes of a table have every document."""
    table = draft.table_named(component, name)
    if table is not None and table.staged:
        ids = frozenset(info.id for info in table.staged.values())
        if ids != table.filled:
            registry.change_table(draft, table._replace(filled=ids))


def _split(
    known: Sequence[Mapping[str, IndexInfo]], declared: Fields
) -> tuple[dict[str, IndexInfo], list[tuple[str, tuple[str, ...]]]]:
    """Which of the declared indexes there are, looked up in the given order, and which not.

    The index that every table has counts as declared.
    """
    found: dict[str, IndexInfo] = {}
    missing: list[tuple[str, tuple[str, ...]]] = []
    for indexes in known:
        if BY_CREATION_TIME in indexes:
            found[BY_CREATION_TIME] = indexes[BY_CREATION_TIME]
    for name, fields in declared.items():
        tied = with_ties(fields)
        same = (i[name] for i in known if name in i and i[name].fields == tied)
        info = next(same, None)
        if info is None:
            missing.append((name, tied))
        else:
            found[name] = info
    return found, missing


def _number(table: TableInfo, added: list[tuple[str, tuple[str, ...]]]) -> list[IndexInfo]:
    """New indexes with ids that the table has never used."""
    return [
        IndexInfo.over(table.tablet + table.next_serial + place, index, fields)
        for place, (index, fields) in enumerate(added)
    ]


def _fill(draft: Draft, table: TableInfo, indexes: list[IndexInfo]) -> None:
    """Give every existing document its places in new indexes; a read of the whole table."""
    if not indexes:
        return
    rows = draft.scan(table.tablet, table.tablet, b"", None, counted=False)
    for row in rows:
        document = decode_document(row.doc)
        for index in indexes:
            draft.add_backfill(IndexEntry(index.id, index.key_of(document), row.id))


def _check_declared(table: str, indexes: Fields, staged: Fields) -> None:
    twice = sorted(indexes.keys() & staged.keys())
    if twice:
        raise DatabaseError(
            "IndexNamesNotUnique", f'Table "{table}" declares the index "{twice[0]}" twice.'
        )
    _check_indexes(table, {**indexes, **staged})


def _check_indexes(table: str, indexes: Fields) -> None:
    """Raise `DatabaseError` when Convex would refuse these declarations."""
    if len(indexes) > MAX_INDEXES:
        raise DatabaseError(
            "TooManyIndexes",
            f'Table "{table}" cannot have more than {MAX_INDEXES} indexes.',
        )
    seen: dict[tuple[str, ...], str] = {}
    for name, fields in indexes.items():
        _check_index(table, name, fields)
        if fields in seen:
            raise DatabaseError(
                "IndexNotUnique",
                f'In table "{table}" the indexes "{seen[fields]}" and "{name}" have the same '
                "fields.",
            )
        seen[fields] = name


def _check_index(table: str, name: str, fields: tuple[str, ...]) -> None:
    where = f'In table "{table}" the index "{name}" is invalid because'
    if name in (BY_ID, BY_CREATION_TIME) or name.startswith("_"):
        raise DatabaseError("IndexNameReserved", f"{where} its name is reserved.")
    if not _INDEX_NAME.fullmatch(name):
        raise DatabaseError(
            "InvalidIndexName",
            f"{where} its name must start with a letter, hold only letters, digits and "
            "underscores, and have at most 64 characters.",
        )
    if not fields:
        raise DatabaseError("EmptyIndex", f"{where} it has no fields.")
    if len(fields) > MAX_INDEX_FIELDS:
        raise DatabaseError("TooManyFields", f"{where} it has more than {MAX_INDEX_FIELDS} fields.")
    if len(set(fields)) < len(fields):
        raise DatabaseError("DuplicateField", f"{where} it names a field twice.")
    for field in fields:
        if field == "_id":
            raise DatabaseError("IndexFieldsContainId", f"{where} `_id` is always its last field.")
        if field == "_creationTime":
            raise DatabaseError(
                "IndexFieldsContainCreationTime",
                f"{where} `_creationTime` is added to every index by itself.",
            )
        if field.startswith("_") or not all(field.split(".")):
            raise DatabaseError("InvalidField", f"{where} {field!r} is not a field of documents.")
