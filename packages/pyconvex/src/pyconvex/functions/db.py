"""`ctx.db`: documents as the app sees them.

Owns typed access: table classes in, instances out. Never reads or writes by itself: the transaction
below does. One invariant: nothing is read before a query is consumed.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, overload

from pyconvex.database import Bound, Bounds, DatabaseError, Namespace, jobs
from pyconvex.functions.documents import Document, plain
from pyconvex.functions.pages import PageQuery, Pager
from pyconvex.functions.pagination import PaginationOptions, PaginationResult
from pyconvex.functions.schema import Schema
from pyconvex.values import COMMIT_TS, CommitTs, Id, InvalidId, ids

D = TypeVar("D", bound=Document)
T = TypeVar("T")

#: What a `DatabaseWriter` has and a reader hasn't.
_WRITES: Final = frozenset({"insert", "patch", "replace", "delete"})


class DatabaseReader:
    """Reads of one snapshot, plus what this transaction has written."""

    def __init__(self, namespace: Namespace, schema: Schema, pager: Pager | None = None) -> None:
        self._namespace = namespace
        self._schema = schema
        #: None where nothing can be paginated, which is in components.
        self._pager = pager

    if not TYPE_CHECKING:  # for who runs without one

        def __getattr__(self, name: str) -> Any:
            if name in _WRITES:
                raise AttributeError(f"Queries only read: db.{name} is for mutations.")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def system(self) -> SystemReader:
        """The host's own tables: `_scheduled_functions` and `_storage`, to be read only."""
        return SystemReader(self._namespace.system, Schema({}), self._pager)

    @overload
    async def get(self, id: Id[D], /) -> D | None: ...
    @overload
    async def get(self, id: str, /) -> Any: ...
    @overload
    async def get(self, table: type[D], id: str, /) -> D | None: ...
    @overload
    async def get(self, table: str, id: str, /) -> Any: ...
    async def get(self, table: Any, id: Any = None, /) -> Any:
        """The document with this id, or None when there is none (any more).

        `get(User, id)` and `get("users", id)` also check whose id it is. Raises `DatabaseError`
        when it is no id at all, or one of another table.
        """
        name, id = _addressed(table, id)
        fields = self._namespace.get(id, name)
        if fields is None:
            return None
        return self._load(self._namespace.name_of(ids.decode_id(id).table_number), fields)

    @overload
    def query(self, table: type[D]) -> TableQuery[D]: ...
    @overload
    def query(self, table: str) -> TableQuery[Any]: ...
    def query(self, table: type[Document] | str) -> TableQuery[Any]:
        """Start a query over a table; nothing is read until it is consumed."""
        name = table if isinstance(table, str) else table.table
        return TableQuery(
            self._namespace, name, lambda fields: self._load(name, fields), self._pager
        )

    def normalize_id(self, table: type[Document] | str, text: str) -> Id[Any] | None:
        """`text` as an id of `table`, or None when it is not one; existence isn't checked."""
        name = table if isinstance(table, str) else table.table
        found = self._namespace.normalize_id(name, text)
        return None if found is None else Id(found)

    def _load(self, name: str | None, fields: dict[str, Any]) -> Any:
        table = self._schema.tables.get(name) if name is not None else None
        return fields if table is None else table.load(fields, self._namespace)


class DatabaseVars:
    """What a mutation may write without knowing it yet."""

    @property
    def commit_ts(self) -> CommitTs:
        """The timestamp of this mutation's commit, for a field of a document: an `Int64`, in
        nanoseconds since 1970, that is greater in each commit than in all before.

        So an index over such a field is a feed in commit order, which `_creationTime` is not:

            await ctx.db.insert("outbox", {"at": ctx.db.vars.commit_ts, "text": text})

        Until the commit, reading the field gives `COMMIT_TS` again, and it sorts behind every
        `Int64`. It can't be an argument, a result or a part of them.
        """
        return COMMIT_TS


class DatabaseWriter(DatabaseReader):
    """Reads and writes of one transaction."""

    vars = DatabaseVars()

    @overload
    async def insert(self, document: D, /) -> Id[D]: ...
    @overload
    async def insert(self, table: type[D], value: Mapping[str, Any], /) -> Id[D]: ...
    @overload
    async def insert(self, table: str, value: Mapping[str, Any], /) -> Id[Any]: ...
    async def insert(self, table: Any, value: Mapping[str, Any] | None = None, /) -> Id[Any]:
        """Add a document and return its id: `insert(User(name="Ada"))` or `insert("users",
        {…})`.
        """
        if isinstance(table, Document):
            table, value = table.table, table.to_fields()
        name = table if isinstance(table, str) else table.table
        return Id(self._namespace.insert(name, plain(value)))

    @overload
    async def patch(self, id: str, fields: Mapping[str, Any], /) -> None: ...
    @overload
    async def patch(
        self, table: type[Document] | str, id: str, fields: Mapping[str, Any], /
    ) -> None: ...
    async def patch(self, *arguments: Any) -> None:
        """Set the given fields, at the top level; `UNSET` removes one.

        `patch(id, {…})`, or `patch(User, id, {…})` to have the id's table checked.
        """
        name, id, fields = _addressed_value(arguments)
        self._namespace.patch(id, plain(fields), name)

    @overload
    async def replace(self, id: str, value: Mapping[str, Any] | Document, /) -> None: ...
    @overload
    async def replace(
        self, table: type[Document] | str, id: str, value: Mapping[str, Any] | Document, /
    ) -> None: ...
    async def replace(self, *arguments: Any) -> None:
        """Replace all fields; the id and creation time stay.

        `replace(id, {…})`, or `replace(User, id, {…})` to have the id's table checked.
        """
        name, id, value = _addressed_value(arguments)
        fields = value.to_fields() if isinstance(value, Document) else value
        self._namespace.replace(id, plain(fields), name)

    @overload
    async def delete(self, id: str, /) -> None: ...
    @overload
    async def delete(self, table: type[Document] | str, id: str, /) -> None: ...
    async def delete(self, table: Any, id: Any = None, /) -> None:
        """Remove a document: `delete(id)`, or `delete(User, id)` to have its table checked."""
        name, id = _addressed(table, id)
        self._namespace.delete(id, name)


#: The host's tables that functions may read; its others are nobody's business.
SYSTEM_TABLES = frozenset({jobs.FUNCTIONS, "_storage"})


class SystemReader(DatabaseReader):
    """`ctx.db.system`: reads of the host's own tables, which depend on them like other reads."""

    async def get(self, table: Any, id: Any = None, /) -> Any:
        """The system document with this id, or None when there is none (any more)."""
        name, id = _addressed(table, id)
        if name is not None:
            _check_system(name)
        if name is None and isinstance(id, str) and (own := self._table_of(id)) is not None:
            name = _check_system(own)
        fields = self._namespace.get(id, name)
        return None if fields is None else self._load(name, fields)

    def query(self, table: Any) -> TableQuery[Any]:
        """Start a query over a system table: `ctx.db.system.query("_scheduled_functions")`."""
        return super().query(_check_system(_name(table)))

    def normalize_id(self, table: Any, text: str) -> Id[Any] | None:
        """`text` as an id of a system table, or None when it is not one."""
        return super().normalize_id(_check_system(_name(table)), text)

    def _load(self, name: str | None, fields: dict[str, Any]) -> Any:
        return jobs.visible(self._namespace, fields) if name == jobs.FUNCTIONS else fields

    def _table_of(self, id: str) -> str | None:
        try:
            return self._namespace.name_of(ids.decode_id(id).table_number)
        except InvalidId:
            return None  # what reads it says so


class OrderedQuery(Generic[T]):
    """A query that can be consumed: once, by one of its methods or by `async for`."""

    def __init__(
        self,
        namespace: Namespace,
        table: str,
        load: Callable[[dict[str, Any]], T],
        pager: Pager | None,
    ) -> None:
        self._namespace = namespace
        self._table = table
        self._load = load
        self._pager = pager
        self._index = "by_creation_time"
        self._bounds = Bounds()
        self._descending = False
        self._filters: list[Callable[[T], bool]] = []
        self._used = False

    def filter(self, predicate: Callable[[T], bool]) -> OrderedQuery[T]:
        """Keep documents for which `predicate` is true; the others still count as read."""
        self._filters.append(predicate)
        return self

    async def collect(self) -> list[T]:
        """All documents."""
        return list(self._rows())

    async def take(self, n: int) -> list[T]:
        """The first `n` documents."""
        return list(itertools.islice(self._rows(n), n))

    async def first(self) -> T | None:
        """The first document, or None."""
        return next(self._rows(1), None)

    async def unique(self) -> T | None:
        """The only document, or None; two are an error that names them."""
        found = await self.take(2)
        if len(found) > 1:
            ids = ", ".join(_id_of(document) for document in found)
            raise DatabaseError(
                "NotUnique",
                f"unique() query returned more than one result from table {self._table}:\n"
                f" [{ids}, ...]",
            )
        return found[0] if found else None

    async def paginate(self, opts: PaginationOptions) -> PaginationResult[T]:
        """One page, of as many documents as `opts` asks for; once in each function.

        A subscription keeps its page's ends: documents written between them make it longer or
        shorter, so that neighbouring pages never overlap or leave something out. A full page is
        not done, also when nothing follows. A page that meets a limit ends early, possibly empty,
        with `page_status` "SplitRequired".

        Raises `DatabaseError` in a component, a second time, or for impossible `opts`, and
        `ConvexError` for a cursor of another query, on which official clients start again.

            @query
            async def users(
                ctx: QueryCtx, pagination_opts: PaginationOptions
            ) -> PaginationResult[User]:
                return await ctx.db.query(User).order("desc").paginate(pagination_opts)
        """
        if self._pager is None:
            raise DatabaseError(
                "PaginationUnsupportedInComponents", "paginate() is only supported in the app."
            )
        self._use()
        return self._pager.page(
            PageQuery(
                self._namespace,
                self._table,
                self._index,
                self._bounds,
                self._descending,
                self._load,
                self._filters,
            ),
            opts,
        )

    async def __aiter__(self) -> AsyncIterator[T]:
        for row in self._rows():
            yield row

    def _use(self) -> None:
        if self._used:
            raise DatabaseError(
                "QueryUsedTwice",
                "A query can only be chained once and can't be chained after iteration begins.",
            )
        self._used = True

    def _rows(self, expect: int | None = None) -> Iterator[T]:
        self._use()
        rows = self._namespace.scan(
            self._table,
            self._index,
            self._bounds,
            descending=self._descending,
            expect=None if self._filters else expect,
        )
        for fields in rows:
            row = self._load(fields)
            if all(keep(row) for keep in self._filters):
                yield row


class SortableQuery(OrderedQuery[T]):
    """A query whose order can still be set."""

    def order(self, order: str) -> OrderedQuery[T]:
        """Set the order: "asc" (the default) or "desc"."""
        if order not in ("asc", "desc"):
            raise DatabaseError("InvalidOrder", f'order is "asc" or "desc", not {order!r}')
        self._descending = order == "desc"
        return self


class IndexedQuery(SortableQuery[T]):
    """A query over an index, whose range on the next field can be bounded."""

    def gt(self, **bound: Any) -> Self:
        """Only documents whose next index field is greater: `.gt(age=18)`."""
        self._bounds = self._bounds._replace(lower=self._bound("lower", bound, inclusive=False))
        return self

    def gte(self, **bound: Any) -> Self:
        """Only documents whose next index field is greater or equal."""
        self._bounds = self._bounds._replace(lower=self._bound("lower", bound, inclusive=True))
        return self

    def lt(self, **bound: Any) -> Self:
        """Only documents whose next index field is less."""
        self._bounds = self._bounds._replace(upper=self._bound("upper", bound, inclusive=False))
        return self

    def lte(self, **bound: Any) -> Self:
        """Only documents whose next index field is less or equal."""
        self._bounds = self._bounds._replace(upper=self._bound("upper", bound, inclusive=True))
        return self

    def _bound(self, side: str, bound: Mapping[str, Any], *, inclusive: bool) -> Bound:
        if getattr(self._bounds, side) is not None:
            raise DatabaseError("AlreadyDefinedBound", f"Already defined {side} bound.")
        if len(bound) != 1:
            raise DatabaseError(
                "InvalidIndexRange", "A range takes one field, such as .gte(age=18)"
            )
        ((field, value),) = bound.items()
        return Bound(field, value, inclusive)


class TableQuery(SortableQuery[T]):
    """A query over a table, in order of creation unless an index is named."""

    def with_index(self, name: str, /, **equal: Any) -> IndexedQuery[T]:
        """Use an index; `equal` fixes its first fields: `with_index("by_email", email=x)`."""
        if self._filters or self._descending:
            raise DatabaseError(
                "InvalidQuery", "Name the index first: with_index goes before filter and order."
            )
        query = IndexedQuery[T](self._namespace, self._table, self._load, self._pager)
        query._index = name
        query._bounds = Bounds(tuple(equal.items()))
        return query


def _name(table: type[Document] | str) -> str:
    return table if isinstance(table, str) else table.table


def _addressed(table: Any, id: Any) -> tuple[str | None, Any]:
    """Table and id of a call that may leave out the table."""
    return (None, table) if id is None else (_name(table), id)


def _addressed_value(arguments: tuple[Any, ...]) -> tuple[str | None, Any, Any]:
    match arguments:
        case (id, value):
            return None, id, value
        case (table, id, value):
            return _name(table), id, value
        case _:
            raise TypeError("takes an id and fields, or a table, an id and fields")


def _check_system(name: str) -> str:
    if not name.startswith("_"):
        raise DatabaseError("SystemTableError", "User tables cannot be accessed with db.system.")
    if name not in SYSTEM_TABLES:
        raise DatabaseError("SystemTableError", f"There is no system table {name}.")
    return name


def _id_of(document: Any) -> str:
    return str(document["_id"] if isinstance(document, dict) else document._id)
