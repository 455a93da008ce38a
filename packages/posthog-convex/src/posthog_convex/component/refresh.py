"""Taking over new definitions.

Owns the diff between an answer of the definitions endpoint and the stored rows. Never fetches. One
invariant: rows whose content is the same are not touched, and the marker moves last, so definitions
that are marked as loaded are complete.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, TypedDict

import msgspec

from posthog_convex.component.functions.tables import (
    CONTENTS,
    GROUP_TYPES,
    LOADED,
    SOURCE,
    CohortRow,
    FlagRow,
    MetaRow,
)
from posthog_convex.component.rows import meta
from posthog_convex.flags import (
    DefinitionSet,
    References,
    UnreadableDefinition,
    parse_cohort,
    parse_definitions,
    parse_flag,
    references_of_cohort,
    references_of_flag,
)
from pyconvex.functions import DatabaseWriter

#: Bytes of definitions and rows that one transaction writes: a quarter of what Convex allows it, in
#: bytes written and in intervals read.
MAX_BYTES = 4 * 1024 * 1024
MAX_ROWS = 1_000
#: A document holds a megabyte; its other fields need some of it.
MAX_DEFINITION_BYTES = 900_000


class Marker(msgspec.Struct, frozen=True):
    """Which definitions are stored completely."""

    etag: str | None
    #: Milliseconds since 1970.
    fetched_at: float


class Trouble(msgspec.Struct, frozen=True):
    """Why the stored definitions may be old."""

    kind: str
    error: str
    #: The first of the failures in a row; milliseconds since 1970, as is the next.
    since: float
    #: When PostHog last said that what is stored is what it has, as far as it is known.
    confirmed_at: float | None


class Stored(TypedDict):
    """What a call of `store` did."""

    written: int
    deleted: int
    more: bool


class Contents(msgspec.Struct):
    """The hash of each stored row."""

    flags: dict[str, str] = {}
    cohorts: dict[str, str] = {}


class _Change(msgspec.Struct, frozen=True):
    """One row to write, or to delete when there is no definition."""

    table: str
    name: str
    hash: str
    definition: bytes | None


async def store_definitions(db: DatabaseWriter, text: str, marker: Marker) -> Stored:
    """Write what changed, the marker last. Raises `UnreadableDefinition` and writes nothing."""
    answer = parse_definitions(text)
    contents = msgspec.json.decode(await meta(db, CONTENTS) or "{}", type=Contents)
    written = deleted = size = 0
    more = False
    for change in _changes(answer, contents):
        if written + deleted >= MAX_ROWS or size >= MAX_BYTES:
            more = True
            break
        await _apply(db, change, answer)
        hashes = contents.flags if change.table == "flags" else contents.cohorts
        if change.definition is None:
            del hashes[change.name]
            deleted += 1
        else:
            hashes[change.name] = change.hash
            written += 1
            size += len(change.definition)
    if written or deleted:
        await set_meta(db, CONTENTS, msgspec.json.encode(contents).decode())
    if not more:
        types = msgspec.json.encode(answer.group_types, order="sorted").decode()
        regrouped = await set_meta(db, GROUP_TYPES, types)
        await _move_marker(db, marker, changed=bool(written or deleted or regrouped))
    return Stored(written=written, deleted=deleted, more=more)


def _changes(answer: DefinitionSet, contents: Contents) -> Iterator[_Change]:
    """Cohorts before the flags that name them; what vanished goes last."""
    for table, texts, hashes in (
        ("cohorts", answer.cohorts, contents.cohorts),
        ("flags", answer.flags, contents.flags),
    ):
        for name, text in sorted(texts.items()):
            hash_ = _hash(text, answer.matching_version)
            if hashes.get(name) != hash_:
                yield _Change(table, name, hash_, text)
    for table, texts, hashes in (
        ("flags", answer.flags, contents.flags),
        ("cohorts", answer.cohorts, contents.cohorts),
    ):
        for name in sorted(hashes.keys() - texts.keys()):
            yield _Change(table, name, "", None)


def _hash(text: bytes, matching_version: int) -> str:
    return blake2b(text, digest_size=12, salt=str(matching_version).encode()[:16]).hexdigest()


async def _apply(db: DatabaseWriter, change: _Change, answer: DefinitionSet) -> None:
    row: FlagRow | CohortRow | None
    if change.table == "flags":
        row = await db.query(FlagRow).with_index("by_key", key=change.name).unique()
    else:
        row = await db.query(CohortRow).with_index("by_cohort_id", cohort_id=change.name).unique()
    if change.definition is None:
        if row is not None:
            await db.delete(row._id)
        return
    fields = _fields(change, change.definition, answer)
    if row is None:
        await db.insert(change.table, fields)
    else:
        await db.replace(row._id, fields)


def _fields(change: _Change, text: bytes, answer: DefinitionSet) -> dict[str, Any]:
    refers = _references(change.table, text)
    kept = text.decode() if len(text) <= MAX_DEFINITION_BYTES else ""
    flags = [answer.keys_by_id.get(name, name) for name in refers.flags]
    common = {
        "hash": change.hash,
        "definition": kept,
        "flags": list(dict.fromkeys(flags)),
        "cohorts": list(refers.cohorts),
    }
    if change.table == "cohorts":
        return common | {"cohort_id": change.name}
    return common | {
        "key": change.name,
        "matching_version": answer.matching_version,
        "group_types": refers.group_types,
    }


def _references(table: str, text: bytes) -> References:
    """What a definition names; one that can't be read gets no verdict, so it needs nothing."""
    try:
        if table == "flags":
            return references_of_flag(parse_flag(text))
        return references_of_cohort(parse_cohort(text))
    except UnreadableDefinition:
        return References()


async def _move_marker(db: DatabaseWriter, marker: Marker, *, changed: bool) -> None:
    current = await meta(db, SOURCE)
    if not changed and current is not None:
        changed = msgspec.json.decode(current, type=Marker).etag != marker.etag
    if changed or current is None:
        await set_meta(db, SOURCE, msgspec.json.encode(marker).decode())
        await set_meta(db, LOADED, "{}")


async def set_meta(db: DatabaseWriter, name: str, text: str) -> bool:
    """Write, if it is not so already; returns whether it was written."""
    row = await db.query(MetaRow).with_index("by_name", name=name).unique()
    if row is None:
        await db.insert(MetaRow(name=name, json=text))
        return True
    if row.json != text:
        await db.patch(row._id, {"json": text})
        return True
    return False
