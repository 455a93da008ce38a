"""Which tables, indexes, queues, components and variables there are.

Owns the registries (system tables with fixed numbers, described by code and never by rows), the
shape of their rows, and a process's cache of what it looked up. Never writes. One invariant: what
the cache answers is what a read at the same `catalog_ts` would give.

A table's row lists its indexes, so one point in the registry stands for everything that a read
or write of that table depends on. Registry keys are natural (component and name), without ties.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar, cast

from pyconvex.database.bounds import value_at
from pyconvex.storage.model import INDEXES_PER_TABLET, IndexKey
from pyconvex.values import order

T = TypeVar("T")

FIRST_SYSTEM_NUMBER = 512  # table numbers of `_…` tables, counted per component; Convex's numbers
FIRST_USER_NUMBER = 10_001
BY_CREATION_TIME = "by_creation_time"
BY_ID = "by_id"


class IndexInfo(NamedTuple):
    """An index: its id, its name and all of its key's fields, tie-breaks included."""

    id: int
    name: str
    fields: tuple[str, ...]
    paths: tuple[tuple[str, ...], ...]

    @classmethod
    def over(cls, id: int, name: str, fields: tuple[str, ...]) -> IndexInfo:
        return cls(id, name, fields, tuple(tuple(field.split(".")) for field in fields))

    def key_of(self, document: Mapping[str, object]) -> bytes:
        return order.encode_key(self.values_of(document))

    def values_of(self, document: Mapping[str, object]) -> list[object]:
        """What the key is made of."""
        return [value_at(document, path) for path in self.paths]


class TableInfo(NamedTuple):
    """A table as the registry knows it; `tablet` is also the id of its index of ids."""

    component: str
    name: str
    number: int
    tablet: int
    indexes: Mapping[str, IndexInfo]
    next_serial: int
    #: Indexes that writes maintain and no query may use, until every document is in them.
    building: Mapping[str, IndexInfo] = MappingProxyType({})
    #: Indexes that writes maintain and no query may use, until their author drops the flag.
    staged: Mapping[str, IndexInfo] = MappingProxyType({})
    #: Those of the staged indexes, by id, that have every document.
    filled: frozenset[int] = frozenset()

    @property
    def unfinished(self) -> tuple[IndexInfo, ...]:
        """Maintained indexes in which documents may be missing."""
        if not (self.building or self.staged):
            return ()
        staged = (index for index in self.staged.values() if index.id not in self.filled)
        return (*self.building.values(), *staged)

    @property
    def maintained(self) -> tuple[IndexInfo, ...]:
        """Every index that a write has to change."""
        if not (self.building or self.staged):
            return tuple(self.indexes.values())
        return (*self.indexes.values(), *self.building.values(), *self.staged.values())

    def keys_of(self, document: Mapping[str, object]) -> tuple[IndexKey, ...]:
        return tuple([(index.id, index.key_of(document)) for index in self.maintained])

    def pending_places(self, document: Mapping[str, object]) -> tuple[tuple[int, int], ...]:
        """Where in `keys_of` the timestamp of the commit goes: which key, and at which byte."""
        return tuple(
            (number, offset)
            for number, index in enumerate(self.maintained)
            for offset in order.pending_places(index.values_of(document))
        )

    def row(self) -> dict[str, object]:
        """The registry row that says all this."""
        own = (index for index in self.indexes.values() if index.name != BY_CREATION_TIME)
        building = [_index_row(index) for index in self.building.values()]
        staged = [
            {**_index_row(index), "filled": index.id in self.filled}
            for index in self.staged.values()
        ]
        return {
            "component": self.component,
            "name": self.name,
            "number": self.number,
            "tablet": self.tablet,
            "nextSerial": self.next_serial,
            "indexes": [_index_row(index) for index in own],
            **({"building": building} if building else {}),
            **({"staged": staged} if staged else {}),
        }


def _index_row(index: IndexInfo) -> dict[str, object]:
    return {"id": index.id, "name": index.name, "fields": list(index.fields[:-2])}


def new_table(component: str, name: str, number: int, tablet: int) -> TableInfo:
    """A table with nothing but its two built-in indexes."""
    indexes = {BY_CREATION_TIME: _by_creation_time(tablet)}
    return TableInfo(component, name, number, tablet, indexes, next_serial=2)


def with_ties(fields: tuple[str, ...]) -> tuple[str, ...]:
    """An index's declared fields and the ones that make its keys unique and ordered."""
    return (*fields, "_creationTime", "_id")


def table_of(row: Mapping[str, object]) -> TableInfo:
    """The table that a registry row describes."""
    tablet = _whole(row["tablet"])
    indexes = {BY_CREATION_TIME: _by_creation_time(tablet), **_indexes_of(row["indexes"])}
    return TableInfo(
        str(row["component"]),
        str(row["name"]),
        _whole(row["number"]),
        tablet,
        indexes,
        _whole(row["nextSerial"]),
        _indexes_of(row.get("building", [])),
        _indexes_of(row.get("staged", [])),
        _filled_of(row.get("staged", [])),
    )


def _filled_of(rows: object) -> frozenset[int]:
    return frozenset(_whole(row["id"]) for row in cast(list[dict[str, Any]], rows) if row["filled"])


def _indexes_of(rows: object) -> dict[str, IndexInfo]:
    return {
        row["name"]: IndexInfo.over(_whole(row["id"]), row["name"], with_ties(tuple(row["fields"])))
        for row in cast(list[dict[str, Any]], rows)
    }


def _by_creation_time(tablet: int) -> IndexInfo:
    return IndexInfo.over(tablet + 1, BY_CREATION_TIME, ("_creationTime", "_id"))


def _whole(number: object) -> int:
    return int(cast(float, number))


def _registry(place: int, name: str, **indexes: tuple[str, ...]) -> TableInfo:
    tablet = place * INDEXES_PER_TABLET
    infos = {
        index: IndexInfo.over(tablet + 1 + serial, index, fields)
        for serial, (index, fields) in enumerate(indexes.items())
    }
    return TableInfo("", name, place, tablet, infos, 1 + len(infos))


TABLES = _registry(
    1,
    "_tables",
    by_name=("component", "name"),
    by_number=("component", "number"),
    by_tablet=("tablet",),
)
ENV = _registry(2, "_env", by_name=("component", "name"))
COMPONENTS = _registry(3, "_components", by_path=("path",))
QUEUES = _registry(4, "_queues", by_name=("component", "name"), by_number=("number",))


class Catalog:
    """A process's memory of registry reads, for transactions that changed no registry.

    Keep one per process and hand it to every `Transaction`; it empties itself when a snapshot shows
    another `catalog_ts`.
    """

    def __init__(self) -> None:
        self._catalog_ts = -1
        self._known: dict[Hashable, Any] = {}

    def known(self, catalog_ts: int) -> dict[Hashable, Any]:
        """What was looked up at this `catalog_ts` before; who looks up more puts it in."""
        if catalog_ts != self._catalog_ts:
            self._catalog_ts = catalog_ts
            self._known = {}
        return self._known
