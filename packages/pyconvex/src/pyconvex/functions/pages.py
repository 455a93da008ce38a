"""Reading one page of a query.

Owns the loop that fills a page, what ends it, and the rules for when `paginate` may run. Never
steps outside of the page: the transaction reads exactly (cursor, end]. One invariant: pages whose
cursors follow each other tile the query, whatever is written between their runs.

A first run ends where it has enough documents or meets a limit. That end is its journal, and a
later run with that journal reads up to the same end however many documents lie before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from pyconvex.database import Bounds, DatabaseError, Namespace, Usage
from pyconvex.database.limits import MAX_BYTES_READ, MAX_DOCUMENTS_READ
from pyconvex.functions.cursors import END, Position, fingerprint, seal, unseal
from pyconvex.functions.pagination import PageStatus, PaginationOptions, PaginationResult

T = TypeVar("T")

#: Documents in a page from which on clients are told to split it. Convex: `SOFT_MAX_PAGE_LEN`.
SOFT_MAX_PAGE_DOCUMENTS = 6144


class PageQuery(NamedTuple):
    """The query that a page is of."""

    namespace: Namespace
    table: str
    index_name: str
    bounds: Bounds
    descending: bool
    load: Callable[[dict[str, Any]], Any]
    filters: Sequence[Callable[[Any], bool]]

    def fingerprint(self) -> bytes:
        """What binds cursors to this query."""
        fields = self.namespace.index_fields(self.table, self.index_name)
        return fingerprint(
            self.table, self.index_name, fields, self.bounds, descending=self.descending
        )

    def walk(
        self,
        after: Position | None,
        through: Position | None,
        admit: Callable[[int], bool],
        expect: int | None,
    ) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """The documents behind `after`, up to and with `through`."""
        if after is not None and after.is_end:
            return iter(())
        return self.namespace.walk(
            self.table,
            self.index_name,
            self.bounds,
            descending=self.descending,
            after=after.key if after is not None else None,
            through=through.key if through is not None else None,
            expect=None if self.filters else expect,
            admit=admit,
        )


class Pager:
    """One execution's pagination: at most one page, and the journal before and after it."""

    def __init__(self, secret: bytes, journal: str | None) -> None:
        self._secret = secret
        #: Where the page ended when this query ran before; None on a first run.
        self._before = journal
        #: Where the page of this run ended; None until there was one.
        self.journal: str | None = None

    def page(self, query: PageQuery, options: PaginationOptions) -> PaginationResult[Any]:
        """Read the page. Raises `DatabaseError`, or `InvalidCursor` for a foreign cursor."""
        _check(options)
        if self.journal is not None:
            raise DatabaseError(
                "MultiplePaginatedDatabaseQueries",
                "This query or mutation function ran multiple paginated queries. Convex only "
                "supports a single paginated query in each function.",
            )
        name = query.fingerprint()
        after = self._position(name, options.cursor)
        given = options.end_cursor is not None
        through = self._position(name, options.end_cursor if given else self._before)
        page = _read(query, options, after, through)
        self.journal = seal(self._secret, name, page.end)
        middle = page.keys[len(page.keys) // 2] if len(page.keys) > 2 else None
        return PaginationResult(
            page=page.documents,
            is_done=page.end.is_end,
            continue_cursor=self.journal,
            split_cursor=None if middle is None else seal(self._secret, name, Position(middle)),
            page_status=page.status,
        )

    def _position(self, name: bytes, cursor: str | None) -> Position | None:
        return None if cursor is None else unseal(self._secret, name, cursor)


def _check(options: PaginationOptions) -> None:
    if options.num_items < 0:
        raise DatabaseError(
            "InvalidPaginationLimit",
            f"`options.numItems` must be a positive number. Received `{options.num_items}`.",
        )
    if options.num_items == 0:
        raise DatabaseError(
            "NoDocumentsForPagination", "Must request at least 1 document while paginating"
        )
    if options.num_items > MAX_DOCUMENTS_READ:
        raise DatabaseError(
            "PageSizeTooLarge",
            f"Requested too many items: {options.num_items} (limit: {MAX_DOCUMENTS_READ}).",
        )
    for maximum in (options.maximum_rows_read, options.maximum_bytes_read):
        if maximum is not None and maximum <= 0:
            raise DatabaseError(
                "InvalidPaginationLimit",
                "maximumRowsRead and maximumBytesRead must be greater than 0",
            )


@dataclass(slots=True)
class _Page:
    """A page as it fills."""

    #: Where it ends: known beforehand when it is bounded.
    end: Position
    documents: list[Any] = field(default_factory=list)
    #: The keys of all documents read, filtered ones included.
    keys: list[bytes] = field(default_factory=list)
    status: PageStatus | None = None


def _read(
    query: PageQuery, options: PaginationOptions, after: Position | None, through: Position | None
) -> _Page:
    bounded = through is not None
    allowance = _Allowance(query.namespace.usage, options, bounded=bounded)
    expect = None if bounded else options.num_items
    rows = query.walk(after, through, allowance.admit, expect)
    page = _Page(through or END)
    while bounded or len(page.documents) < options.num_items:
        row = None if allowance.spent else next(rows, None)
        if row is None:
            break
        page.keys.append(row[0])
        document = query.load(row[1])
        if all(keep(document) for keep in query.filters):
            page.documents.append(document)
    else:
        allowance.filled = True
    if allowance.stopped and not bounded:
        page.end = Position(page.keys[-1])
    page.status = allowance.status(len(page.documents))
    return page


class _Allowance:
    """How much a page may read, and what it has read of that."""

    def __init__(self, usage: Usage, options: PaginationOptions, *, bounded: bool) -> None:
        self._usage = usage
        self._bounded = bounded
        self._max_rows = min(options.maximum_rows_read or MAX_DOCUMENTS_READ, MAX_DOCUMENTS_READ)
        self._max_bytes = min(options.maximum_bytes_read or MAX_BYTES_READ, MAX_BYTES_READ)
        self._rows = 0
        self._bytes = 0
        self._refused = False
        #: True when the page has all the documents that were asked for.
        self.filled = False

    @property
    def spent(self) -> bool:
        """True when the options' maxima are met; a bounded page doesn't have them."""
        met = self._rows >= self._max_rows or self._bytes >= self._max_bytes
        return met and not self._bounded

    @property
    def stopped(self) -> bool:
        """True when the page ends although there may be more."""
        return self.filled or self.spent or self._refused

    def admit(self, size: int) -> bool:
        """Whether the next document may be read: while the transaction's limits allow.

        The first one always may, so that each page gets on, or raises what a read beyond the limits
        raises.
        """
        self._refused = self._rows > 0 and not self._usage.fits(size)
        if not self._refused:
            self._rows += 1
            self._bytes += size
        return not self._refused

    def status(self, documents: int) -> PageStatus | None:
        """What clients are told about splitting the page."""
        if not self.filled and (self.spent or self._refused):
            return "SplitRequired"
        approaching = self._rows > self._max_rows * 3 // 4 or self._bytes > self._max_bytes * 3 // 4
        return "SplitRecommended" if approaching or documents > SOFT_MAX_PAGE_DOCUMENTS else None
