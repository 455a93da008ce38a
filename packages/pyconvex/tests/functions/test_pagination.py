"""Pages tile their query, end where they should, and say why."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyconvex import (
    Document,
    Id,
    Int64,
    PaginationOptions,
    PaginationResult,
    QueryCtx,
    define_schema,
    define_table,
    query,
    v,
)
from pyconvex.database import Committed, DatabaseError, Transaction, limits
from pyconvex.functions import Arg, ConvexError, DatabaseWriter, pages
from pyconvex.functions.documents import plain
from pyconvex.functions.pages import Pager
from pyconvex.functions.schema import collect_schema
from pyconvex.values import NO_TABLES

SECRET = b"k" * 32


class Note(Document, table="notes", indexes={"by_n": ["n"]}):
    n: int
    text: str = ""


SCHEMA = collect_schema(define_schema({"plain": define_table({"n": v.number()})}), [Note])


class Notes:
    """A table of notes, written and paginated one transaction at a time."""

    def __init__(self, tables: Any) -> None:
        self._tables = tables
        self._reader = tables.store.reader()
        self._random = Random(3)
        self._now_ms = 1_700_000_000_000.0
        tables.declare(SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        self._now_ms += 1
        with Transaction(self._reader, now_ms=self._now_ms, random=self._random) as tx:
            yield tx

    def write(self, work: Callable[[DatabaseWriter], Awaitable[Any]]) -> Any:
        with self.transaction() as tx:
            result = asyncio.run(_await(work(DatabaseWriter(tx.namespace(""), SCHEMA))))
            [outcome] = self._tables.committer.commit([tx.proposal()])
        assert isinstance(outcome, Committed)
        return result

    def insert(self, *numbers: int, text: str = "") -> list[Id[Note]]:
        async def work(db: DatabaseWriter) -> list[Id[Note]]:
            return [await db.insert(Note(n=n, text=text)) for n in numbers]

        return self.write(work)

    def page(
        self, options: PaginationOptions, journal: str | None = None, **how: Any
    ) -> tuple[PaginationResult[Note], str | None]:
        """One execution of a paginated query: its page and its journal."""
        with self.transaction() as tx:
            return self.page_in(tx, options, journal, **how)

    def page_in(
        self,
        tx: Transaction,
        options: PaginationOptions,
        journal: str | None = None,
        *,
        order: str = "asc",
        keep: Callable[[Note], bool] | None = None,
    ) -> tuple[PaginationResult[Note], str | None]:
        pager = Pager(SECRET, journal)
        notes = DatabaseWriter(tx.namespace(""), SCHEMA, pager).query(Note)
        ordered = notes.with_index("by_n").order(order)
        if keep is not None:
            ordered = ordered.filter(keep)
        return asyncio.run(_await(ordered.paginate(options))), pager.journal

    def stale(self, reads: Any, after_ts: int) -> bool:
        return self._tables.committer.log.first_overlap(reads, after_ts) is not None

    def close(self) -> None:
        self._reader.close()


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


@pytest.fixture
def notes(tables: Any) -> Iterator[Notes]:
    notes = Notes(tables)
    yield notes
    notes.close()


def first(num_items: int, **options: Any) -> PaginationOptions:
    return PaginationOptions(num_items=num_items, **options)


def numbers(page: PaginationResult[Note]) -> list[int]:
    return [note.n for note in page.page]


# Tiling


@dataclass
class Loaded:
    """A page that a client follows."""

    options: PaginationOptions
    journal: str | None
    result: PaginationResult[Note] | None = None


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.integers(0, 12)),
        st.tuples(st.just("delete"), st.integers(0, 40)),
        st.tuples(st.just("more"), st.integers(1, 4)),
        st.tuples(st.just("split"), st.integers(0, 5)),
        st.tuples(st.just("budget"), st.integers(1, 3)),
    ),
    max_size=25,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    start=st.lists(st.integers(0, 12), max_size=10),
    steps=STEPS,
    order=st.sampled_from(["asc", "desc"]),
    filtered=st.booleans(),
)
def test_pages_tile_the_query_whatever_is_written_between_their_runs(
    tables_of: Callable[[], Any], start: list[int], steps: list[Any], order: str, filtered: bool
) -> None:
    notes = Notes(tables_of())
    how: dict[str, Any] = {"order": order, "keep": (lambda note: note.n % 3) if filtered else None}
    ids = notes.insert(*start)
    loaded = [Loaded(first(2), None)]
    follow(notes, loaded, how)
    for step, number in steps:
        last = loaded[-1].result
        assert last is not None
        if step == "insert":
            ids += notes.insert(number)
        elif step == "delete" and ids:
            gone = ids.pop(number % len(ids))
            notes.write(lambda db, gone=gone: db.delete(gone))
        elif step in ("more", "budget") and not last.is_done:
            maximum = number if step == "budget" else None
            cursor = last.continue_cursor
            loaded.append(Loaded(first(number, cursor=cursor, maximum_rows_read=maximum), None))
        elif step == "split":
            split(loaded, number % len(loaded))
        follow(notes, loaded, how)
    notes.close()


def follow(notes: Notes, loaded: list[Loaded], how: dict[str, Any]) -> None:
    """Run every page again, on one snapshot, and see that together they are the query."""
    with notes.transaction() as tx:
        for page in loaded:
            page.result, page.journal = notes.page_in(tx, page.options, page.journal, **how)
        whole, _ = notes.page_in(tx, first(32_000), **how)
    results = [page.result for page in loaded if page.result is not None]
    for earlier, later in itertools.pairwise(loaded):
        assert earlier.result is not None
        assert earlier.result.continue_cursor == later.options.cursor
    together = [note._id for result in results for note in result.page]
    everything = [note._id for note in whole.page]
    assert together == everything[: len(together)]
    if results[-1].is_done:
        assert together == everything


def split(loaded: list[Loaded], at: int) -> None:
    """Replace a page by two, as clients do."""
    page = loaded[at]
    assert page.result is not None
    middle = page.result.split_cursor
    if middle is not None:
        end = page.result.continue_cursor
        loaded[at : at + 1] = [
            Loaded(replace(page.options, end_cursor=middle), None),
            Loaded(replace(page.options, cursor=middle, end_cursor=end), None),
        ]


# What ends a page


def test_a_page_that_is_filled_exactly_is_not_done(notes: Notes) -> None:
    notes.insert(1, 2)
    page, _ = notes.page(first(2))
    assert (numbers(page), page.is_done, page.page_status) == ([1, 2], False, None)
    rest, _ = notes.page(first(2, cursor=page.continue_cursor))
    assert (rest.page, rest.is_done) == ([], True)
    again, _ = notes.page(first(2, cursor=rest.continue_cursor))
    assert (again.page, again.is_done) == ([], True)
    assert again.continue_cursor == rest.continue_cursor


def test_a_short_page_is_done(notes: Notes) -> None:
    notes.insert(1, 2)
    page, _ = notes.page(first(3))
    assert (numbers(page), page.is_done) == ([1, 2], True)


def test_a_table_that_is_still_to_come_grows_into_its_only_page(notes: Notes) -> None:
    def run(journal: str | None) -> tuple[PaginationResult[Any], str | None]:
        pager = Pager(SECRET, journal)
        with notes.transaction() as tx:
            db = DatabaseWriter(tx.namespace(""), SCHEMA, pager)
            return asyncio.run(_await(db.query("later").paginate(first(1)))), pager.journal

    page, journal = run(None)
    assert (page.page, page.is_done) == ([], True)
    notes.write(lambda db: db.insert("later", {"n": 1}))
    notes.write(lambda db: db.insert("later", {"n": 2}))
    page, _ = run(journal)
    assert ([document["n"] for document in page.page], page.is_done) == ([1.0, 2.0], True)


def test_a_run_with_a_journal_keeps_the_end(notes: Notes) -> None:
    ids = notes.insert(10, 20, 30, 40)
    page, journal = notes.page(first(2))
    assert numbers(page) == [10, 20]
    notes.insert(15, 5, 25)
    grown, kept = notes.page(first(2), journal)
    assert numbers(grown) == [5, 10, 15, 20]
    assert (kept, grown.continue_cursor) == (journal, page.continue_cursor)
    notes.write(lambda db: db.delete(ids[1]))
    notes.write(lambda db: db.delete(ids[0]))
    shrunk, _ = notes.page(first(2), journal)
    assert (numbers(shrunk), shrunk.is_done) == ([5, 15], False)


def test_an_end_cursor_counts_more_than_numbers(notes: Notes) -> None:
    notes.insert(1, 2, 3, 4, 5)
    four, _ = notes.page(first(4))
    page, _ = notes.page(first(1, end_cursor=four.continue_cursor, maximum_rows_read=2))
    assert numbers(page) == [1, 2, 3, 4]
    assert page.continue_cursor == four.continue_cursor
    assert (page.is_done, page.page_status) == (False, "SplitRecommended")


def test_a_filter_goes_on_until_the_page_is_full(notes: Notes) -> None:
    notes.insert(*range(20))
    page, _ = notes.page(first(3), keep=lambda note: note.n % 5 == 0)
    assert (numbers(page), page.is_done) == ([0, 5, 10], False)
    rest, _ = notes.page(first(3, cursor=page.continue_cursor), keep=lambda note: note.n % 5 == 0)
    assert (numbers(rest), rest.is_done) == ([15], True)


def test_a_maximum_of_rows_ends_a_page_early(notes: Notes) -> None:
    notes.insert(*range(7))
    page, journal = notes.page(first(5, maximum_rows_read=3), keep=lambda note: note.n > 4)
    assert (page.page, page.is_done, page.page_status) == ([], False, "SplitRequired")
    assert page.split_cursor is not None
    bounded, _ = notes.page(first(5, maximum_rows_read=3), journal, keep=lambda note: note.n > 4)
    assert bounded.continue_cursor == page.continue_cursor
    after = first(5, cursor=page.continue_cursor)
    rest, _ = notes.page(after, keep=lambda note: note.n > 4)
    assert (numbers(rest), rest.is_done) == ([5, 6], True)


def test_a_maximum_of_bytes_ends_a_page_early_but_never_before_a_document(notes: Notes) -> None:
    notes.insert(1, 2, 3, text="x" * 1000)
    page, _ = notes.page(first(3, maximum_bytes_read=1))
    assert (numbers(page), page.is_done, page.page_status) == ([1], False, "SplitRequired")
    page, _ = notes.page(first(3, maximum_bytes_read=1500))
    assert numbers(page) == [1, 2]


def test_the_transaction_s_limits_end_a_page_instead_of_failing(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes.insert(*range(12))
    monkeypatch.setattr(limits, "MAX_DOCUMENTS_READ", 10)
    page, journal = notes.page(first(20))
    assert (numbers(page), page.page_status) == (list(range(10)), "SplitRequired")
    assert not page.is_done
    rest, _ = notes.page(first(20, cursor=page.continue_cursor))
    assert (numbers(rest), rest.is_done) == ([10, 11], True)
    notes.insert(*range(5))
    bounded, kept = notes.page(first(20), journal)
    assert (len(bounded.page), bounded.page_status) == (10, "SplitRequired")
    assert (kept, bounded.continue_cursor) == (journal, page.continue_cursor)


def test_the_bytes_of_a_transaction_end_a_page_before_the_document_that_is_too_much(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes.insert(1, 2, 3, text="x" * 1000)
    monkeypatch.setattr(limits, "MAX_BYTES_READ", 2900)
    page, _ = notes.page(first(3))
    assert (numbers(page), page.page_status) == ([1, 2], "SplitRequired")
    monkeypatch.setattr(limits, "MAX_BYTES_READ", 900)
    with pytest.raises(DatabaseError, match="Too many bytes read"):
        notes.page(first(3))


def test_large_pages_should_be_split(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    notes.insert(*range(9))
    monkeypatch.setattr(pages, "SOFT_MAX_PAGE_DOCUMENTS", 5)
    assert notes.page(first(5))[0].page_status is None
    assert notes.page(first(6))[0].page_status == "SplitRecommended"
    monkeypatch.undo()
    monkeypatch.setattr(pages, "MAX_DOCUMENTS_READ", 10)
    assert notes.page(first(7))[0].page_status is None
    assert notes.page(first(8))[0].page_status == "SplitRecommended"
    monkeypatch.undo()
    monkeypatch.setattr(pages, "MAX_BYTES_READ", 200)
    assert notes.page(first(1))[0].page_status is None
    assert notes.page(first(2))[0].page_status == "SplitRecommended"


@pytest.mark.parametrize(("count", "halves"), [(2, None), (3, (2, 1)), (4, (3, 1)), (9, (5, 4))])
def test_the_split_cursor_is_in_the_middle(
    notes: Notes, count: int, halves: tuple[int, int] | None
) -> None:
    notes.insert(*range(count))
    page, _ = notes.page(first(count))
    if halves is None:
        assert page.split_cursor is None
        return
    one, _ = notes.page(first(1, end_cursor=page.split_cursor))
    ends = {"cursor": page.split_cursor, "end_cursor": page.continue_cursor}
    other, _ = notes.page(first(1, **ends))
    assert (len(one.page), len(other.page)) == halves
    assert numbers(one) + numbers(other) == numbers(page)


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_page_reads_what_it_covers_and_nothing_else(notes: Notes, order: str) -> None:
    notes.insert(10, 20, 30, 40, 50, 60)
    one, _ = notes.page(first(2), order=order)
    with notes.transaction() as tx:
        two, journal = notes.page_in(tx, first(2, cursor=one.continue_cursor), order=order)
    with notes.transaction() as again:
        after = first(2, cursor=one.continue_cursor)
        bounded, _ = notes.page_in(again, after, journal, order=order)
    assert sorted(numbers(two)) == sorted(numbers(bounded)) == [30, 40]
    outside, inside = ([15, 45], [35]) if order == "asc" else ([25, 55], [35])
    for n in outside:
        notes.insert(n)
        assert not notes.stale(tx.read_set(), tx.head.ts)
        assert not notes.stale(again.read_set(), again.head.ts)
    for n in inside:
        notes.insert(n)
        assert notes.stale(tx.read_set(), tx.head.ts)
        assert notes.stale(again.read_set(), again.head.ts)


def test_the_document_behind_the_end_is_read_neither(notes: Notes) -> None:
    ids = notes.insert(1, 2, 3)
    with notes.transaction() as tx:
        notes.page_in(tx, first(2))
    notes.write(lambda db: db.delete(ids[2]))
    assert not notes.stale(tx.read_set(), tx.head.ts)
    notes.write(lambda db: db.delete(ids[1]))
    assert notes.stale(tx.read_set(), tx.head.ts)


def test_own_writes_are_in_the_page(notes: Notes) -> None:
    notes.insert(1, 3)

    async def work(tx: Transaction) -> PaginationResult[Note]:
        db = DatabaseWriter(tx.namespace(""), SCHEMA, Pager(SECRET, None))
        await db.insert(Note(n=2))
        return await db.query(Note).with_index("by_n").paginate(first(5))

    with notes.transaction() as tx:
        assert numbers(asyncio.run(work(tx))) == [1, 2, 3]


# What is refused


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (first(0), "NoDocumentsForPagination", "Must request at least 1 document"),
        (first(-1), "InvalidPaginationLimit", "must be a positive number. Received `-1`"),
        (first(32_001), "PageSizeTooLarge", "Requested too many items: 32001"),
        (first(1, maximum_rows_read=0), "InvalidPaginationLimit", "must be greater than 0"),
        (first(1, maximum_bytes_read=0), "InvalidPaginationLimit", "must be greater than 0"),
    ],
)
def test_impossible_options_are_refused(
    notes: Notes, options: PaginationOptions, code: str, text: str
) -> None:
    with pytest.raises(DatabaseError, match=text) as caught:
        notes.page(options)
    assert caught.value.code == code


def test_a_cursor_of_another_query_is_refused(notes: Notes) -> None:
    notes.insert(1, 2)
    page, journal = notes.page(first(1))
    with pytest.raises(ConvexError) as caught:
        notes.page(first(1, cursor=page.continue_cursor), order="desc")
    assert caught.value.data == {"isConvexSystemError": True, "paginationError": "InvalidCursor"}
    for options in (first(1, end_cursor="x"), first(1, cursor=""), first(1, end_cursor="")):
        with pytest.raises(ConvexError):
            notes.page(options)
    with pytest.raises(ConvexError):
        notes.page(first(1), journal, order="desc")


def test_one_execution_has_one_page(notes: Notes) -> None:
    notes.insert(1, 2)

    async def work(db: DatabaseWriter) -> None:
        with pytest.raises(DatabaseError, match="at least 1"):
            await db.query(Note).paginate(first(0))
        await db.query(Note).paginate(first(1))
        await db.query(Note).collect()
        with pytest.raises(DatabaseError, match="ran multiple paginated queries") as caught:
            await db.query(Note).order("desc").paginate(first(1))
        assert caught.value.code == "MultiplePaginatedDatabaseQueries"

    with notes.transaction() as tx:
        asyncio.run(work(DatabaseWriter(tx.namespace(""), SCHEMA, Pager(SECRET, None))))


def test_components_have_no_pages(notes: Notes) -> None:
    async def work(db: DatabaseWriter) -> None:
        with pytest.raises(DatabaseError, match="only supported in the app") as caught:
            await db.query(Note).paginate(first(1))
        assert caught.value.code == "PaginationUnsupportedInComponents"

    with notes.transaction() as tx:
        asyncio.run(work(DatabaseWriter(tx.namespace(""), SCHEMA)))


def test_a_query_is_paginated_once(notes: Notes) -> None:
    async def work(db: DatabaseWriter) -> None:
        ordered = db.query(Note).order("asc")
        await ordered.paginate(first(1))
        with pytest.raises(DatabaseError, match="only be chained once"):
            await ordered.collect()

    with notes.transaction() as tx:
        asyncio.run(work(DatabaseWriter(tx.namespace(""), SCHEMA, Pager(SECRET, None))))


# Hints and the wire


@query
async def listed(
    ctx: QueryCtx, page_options: PaginationOptions, n: int = 0
) -> PaginationResult[Note]:
    return await ctx.db.query(Note).paginate(page_options)


@query
async def renamed(
    ctx: QueryCtx,
    options: Annotated[PaginationOptions | None, Arg("other")] = None,
) -> PaginationResult[Any]:
    raise NotImplementedError


OPTIONS_JSON = v.object(
    {
        "numItems": v.number(),
        "cursor": v.union(v.string(), v.null()),
        "endCursor": v.optional(v.union(v.string(), v.null())),
        "id": v.optional(v.number()),
        "maximumRowsRead": v.optional(v.number()),
        "maximumBytesRead": v.optional(v.number()),
    }
).json()


def result_json(item: Any) -> Any:
    return v.object(
        {
            "page": v.array(item),
            "continueCursor": v.string(),
            "isDone": v.boolean(),
            "splitCursor": v.optional(v.union(v.string(), v.null())),
            "pageStatus": v.optional(
                v.union(v.literal("SplitRecommended"), v.literal("SplitRequired"), v.null())
            ),
        }
    ).json()


def test_hints_are_the_validators_that_clients_expect() -> None:
    [options, _] = listed.parameters
    assert (options.name, options.wire_name) == ("page_options", "paginationOpts")
    assert options.validator.json() == OPTIONS_JSON
    item = v.object(
        {
            "_id": v.id("notes"),
            "_creationTime": v.number(),
            "n": v.number(),
            "text": v.optional(v.string()),
        }
    )
    assert listed.returns.json() == result_json(item)
    [options] = renamed.parameters
    assert options.wire_name == "paginationOpts"
    assert renamed.returns.json() == result_json(v.any())


def test_options_arrive_as_such() -> None:
    sent = {"numItems": 3.0, "cursor": None, "endCursor": None, "id": 7.0, "maximumRowsRead": 9.0}
    bound = listed.bind(listed.args.check({"paginationOpts": sent}, NO_TABLES))  # type: ignore[arg-type]  # an object
    options = bound["page_options"]
    assert options == PaginationOptions(num_items=3, id=7.0, maximum_rows_read=9)
    assert type(options.num_items) is int
    wire = plain(listed.to_wire({"page_options": options}))
    assert wire == {
        "paginationOpts": {"numItems": 3, "cursor": None, "id": 7.0, "maximumRowsRead": 9}
    }


def test_a_page_travels_and_comes_back_as_one() -> None:
    page = PaginationResult(
        page=[Int64(1)], is_done=False, continue_cursor="c", page_status="SplitRequired"
    )
    wire = plain(page)
    assert wire == {
        "page": [Int64(1)],
        "isDone": False,
        "continueCursor": "c",
        "splitCursor": None,
        "pageStatus": "SplitRequired",
    }
    assert renamed.returns.check(wire, NO_TABLES) == page
    assert renamed.returns.check(page, NO_TABLES) == page
    assert page.with_page(["x"]) == PaginationResult[str](
        page=["x"], is_done=False, continue_cursor="c", page_status="SplitRequired"
    )
