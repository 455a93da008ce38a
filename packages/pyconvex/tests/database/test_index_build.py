"""Indexes that are filled page by page while documents are written."""

from random import Random

import pytest

from pyconvex.database import Bounds, Committed, Conflict, DatabaseError
from pyconvex.values import codec

PAGE = {"max_documents": 3, "max_bytes": 10**6}


def fill(world, table="t", **page) -> int:
    """Fill a table's new indexes; how many pages it took."""
    after, pages = b"", 0
    while after is not None:
        after = world.write(lambda ns, at=after: ns.fill_page(table, at, **{**PAGE, **page}))
        pages += 1
    return pages


def entries(world, index_id: int) -> dict[bytes, bytes]:
    sql = "SELECT key, id FROM entries WHERE index_id = ?"
    return dict(world.store._db.execute(sql, (index_id,)).fetchall())


def check_every_index(world, table="t") -> None:
    """Each index has exactly the entries that the documents ask for."""
    tx = world.begin()
    info = tx.table_named("", table)
    documents = world.store._db.execute(
        "SELECT id, doc FROM documents WHERE tablet = ?", (info.tablet,)
    ).fetchall()
    for index in info.indexes.values():
        wanted = {index.key_of(codec.decode(doc)): id for id, doc in documents}
        assert entries(world, index.id) == wanted, index.name
    world.end(tx)


def test_an_index_is_filled_in_pages_and_then_declared(world, field):
    world.write(lambda ns: [ns.insert("t", {"n": -n}) for n in range(8)])
    assert world.write(lambda ns: ns.begin_indexes("t", {"by_n": ["n"]}))
    assert fill(world) == 3
    world.write(lambda ns: ns.declare_table("t", {"by_n": ["n"]}))
    assert world.read(lambda ns: field(ns.scan("t", "by_n"), "n")) == list(range(-7, 1))
    check_every_index(world)


def test_a_page_ends_by_size_too(world):
    world.write(lambda ns: [ns.insert("t", {"n": n, "text": "x" * 1000}) for n in range(8)])
    world.write(lambda ns: ns.begin_indexes("t", {"by_n": ["n"]}))
    assert fill(world, max_documents=100, max_bytes=2000) == 5


def test_an_unfinished_index_is_not_queried(world):
    world.write(lambda ns: ns.insert("t", {"n": 1}))
    world.write(lambda ns: ns.begin_indexes("t", {"by_n": ["n"]}))
    with pytest.raises(DatabaseError, match=r"^Index t\.by_n is currently backfilling and not"):
        world.read(lambda ns: list(ns.scan("t", "by_n")))
    assert world.read(lambda ns: ns.index_names("t")) == ["by_n"]


def test_the_old_index_of_a_name_serves_until_the_new_one_is_in_force(world, field):
    world.write(lambda ns: ns.declare_table("t", {"i": ["n"]}))
    world.write(lambda ns: [ns.insert("t", {"n": n, "m": -n}) for n in range(3)])
    world.write(lambda ns: ns.begin_indexes("t", {"i": ["m"]}))
    world.write(lambda ns: ns.insert("t", {"n": 9, "m": -9}))
    assert world.read(lambda ns: field(ns.scan("t", "i"), "n")) == [0, 1, 2, 9]
    fill(world)
    assert world.read(lambda ns: field(ns.scan("t", "i"), "n")) == [0, 1, 2, 9]
    world.write(lambda ns: ns.declare_table("t", {"i": ["m"]}))
    assert world.read(lambda ns: field(ns.scan("t", "i"), "n")) == [9, 2, 1, 0]
    check_every_index(world)


def test_a_table_that_is_new_needs_no_filling(world):
    assert not world.write(lambda ns: ns.begin_indexes("t", {"by_n": ["n"]}))
    assert world.read(lambda ns: list(ns.scan("t", "by_n"))) == []


def test_beginning_again_keeps_what_was_begun(world):
    world.write(lambda ns: [ns.insert("t", {"n": n}) for n in range(5)])
    world.write(lambda ns: ns.begin_indexes("t", {"by_n": ["n"], "by_m": ["m"]}))
    world.write(lambda ns: ns.fill_page("t", b"", **PAGE))
    before = world.store.head
    assert world.write(lambda ns: ns.begin_indexes("t", {"by_n": ["n"], "by_m": ["m"]}))
    assert world.store.head == before
    assert world.write(lambda ns: ns.begin_indexes("t", {"by_n": ["n"]}))
    fill(world)
    world.write(lambda ns: ns.declare_table("t", {"by_n": ["n"]}))
    check_every_index(world)
    while world.store.sweep():
        pass
    assert (
        world.store._db.execute("SELECT count(*) FROM entries WHERE index_id > ?", (1 << 20,)).get
        == 10
    )


def test_an_abandoned_build_leaves_nothing(world):
    world.write(lambda ns: [ns.insert("t", {"n": n}) for n in range(5)])
    world.write(lambda ns: ns.begin_indexes("t", {"by_n": ["n"]}))
    world.write(lambda ns: ns.fill_page("t", b"", **PAGE))
    world.write(lambda ns: ns.abandon_indexes("t"))
    assert world.read(lambda ns: ns.index_names("t")) == []
    assert world.write(lambda ns: ns.fill_page("t", b"", **PAGE)) is None
    while world.store.sweep():
        pass
    world.write(lambda ns: ns.delete(next(ns.scan("t"))["_id"]))
    assert (
        world.store._db.execute("SELECT count(*) FROM entries WHERE index_id > ?", (1 << 20,)).get
        == 4
    )


def test_a_write_that_did_not_know_of_the_index_conflicts(world):
    world.write(lambda ns: ns.insert("t", {"n": 1}))
    late = world.begin()
    late.namespace("").insert("t", {"n": 2})
    world.write(lambda ns: ns.begin_indexes("t", {"by_n": ["n"]}))
    [outcome] = world.commit(late)
    assert isinstance(outcome, Conflict)


def test_a_page_of_documents_that_have_changed_conflicts(world):
    id = world.write(lambda ns: ns.insert("t", {"n": 1}))
    world.write(lambda ns: ns.begin_indexes("t", {"by_n": ["n"]}))
    page = world.begin()
    page.namespace("").fill_page("t", b"", **PAGE)
    world.write(lambda ns: ns.patch(id, {"n": 2}))
    [outcome] = world.commit(page)
    assert isinstance(outcome, Conflict)
    fill(world)
    world.write(lambda ns: ns.declare_table("t", {"by_n": ["n"]}))
    check_every_index(world)


@pytest.mark.parametrize("seed", range(1, 21))
def test_an_index_built_under_writes_has_every_document_once(world, seed):
    random = Random(seed)
    world.write(lambda ns: ns.declare_table("t", {"old": ["n"]}))
    world.write(lambda ns: [ns.insert("t", {"n": n, "m": n}) for n in range(30)])

    def write(ns) -> None:
        documents = list(ns.scan("t"))
        for _ in range(random.randrange(1, 4)):
            chosen = random.choice(documents)["_id"]
            match random.randrange(4):
                case 0:
                    ns.insert("t", {"n": random.randrange(9), "m": random.randrange(9)})
                case 1 if ns.get(chosen) is not None and len(documents) > 5:
                    ns.delete(chosen)
                case 2 if ns.get(chosen) is not None:
                    ns.patch(chosen, {"m": random.randrange(9)})
                case _ if ns.get(chosen) is not None:
                    ns.patch(chosen, {"other": random.random()})

    world.write(lambda ns: ns.begin_indexes("t", {"old": ["m"], "new": ["m", "n"]}))
    after: bytes | None = b""
    while after is not None:
        if random.random() < 0.7:
            world.write(write)
        page, others = world.begin(), world.begin()
        next_after = page.namespace("").fill_page("t", after, **PAGE)
        write(others.namespace(""))
        order = random.sample([page, others], 2)
        outcome = world.commit(*order)[order.index(page)]
        if isinstance(outcome, Committed):
            after = next_after
        world.end(page)
        world.end(others)
    world.write(write)
    world.write(lambda ns: ns.declare_table("t", {"old": ["m"], "new": ["m", "n"]}))
    check_every_index(world)
    world.write(write)
    check_every_index(world)
    total = len(world.read(lambda ns: list(ns.scan("t"))))
    assert len(world.read(lambda ns: list(ns.scan("t", "new", Bounds())))) == total


STAGED = {"by_n": ["n"]}


def test_a_staged_index_is_maintained_and_not_queried(world, field):
    world.write(lambda ns: ns.insert("t", {"n": 2}))
    world.write(lambda ns: ns.declare_table("t", {}, STAGED))
    assert world.read(lambda ns: ns.has_unfilled_staged("t"))
    world.write(lambda ns: ns.insert("t", {"n": 1}))
    with pytest.raises(DatabaseError, match=r"^Index t\.by_n is currently staged and not"):
        world.read(lambda ns: list(ns.scan("t", "by_n")))
    fill(world)
    world.write(lambda ns: ns.finish_staged("t"))
    assert not world.read(lambda ns: ns.has_unfilled_staged("t"))
    with pytest.raises(DatabaseError, match="staged"):
        world.read(lambda ns: list(ns.scan("t", "by_n")))
    world.write(lambda ns: ns.insert("t", {"n": 0}))
    assert not world.write(lambda ns: ns.begin_indexes("t", STAGED)), "it has been built"
    world.write(lambda ns: ns.declare_table("t", STAGED))
    assert world.read(lambda ns: field(ns.scan("t", "by_n"), "n")) == [0, 1, 2]
    check_every_index(world)


def test_an_unfinished_staged_index_is_finished_before_it_is_used(world, field):
    world.write(lambda ns: [ns.insert("t", {"n": -n}) for n in range(8)])
    world.write(lambda ns: ns.declare_table("t", {}, STAGED))
    world.write(lambda ns: ns.fill_page("t", b"", **PAGE))
    world.write(lambda ns: ns.delete(next(ns.scan("t"))["_id"]))
    assert world.write(lambda ns: ns.begin_indexes("t", STAGED))
    fill(world)
    world.write(lambda ns: ns.declare_table("t", STAGED))
    assert world.read(lambda ns: field(ns.scan("t", "by_n"), "n")) == list(range(-7, 0))
    check_every_index(world)


def test_an_index_may_be_staged_again_and_changes_with_its_fields(world):
    world.write(lambda ns: ns.declare_table("t", STAGED))
    world.write(lambda ns: ns.insert("t", {"n": 1}))
    world.write(lambda ns: ns.declare_table("t", {}, STAGED))
    assert not world.read(lambda ns: ns.has_unfilled_staged("t")), "it has every document"
    world.write(lambda ns: ns.declare_table("t", {}, {"by_n": ["n", "m"]}))
    assert world.read(lambda ns: ns.has_unfilled_staged("t"))
    world.write(lambda ns: ns.declare_table("t", {}))
    assert world.read(lambda ns: ns.index_names("t")) == []
    while world.store.sweep():
        pass
    sql = "SELECT count(*) FROM entries WHERE index_id > ?"
    assert world.store._db.execute(sql, (1 << 20,)).get == 1


def test_an_index_is_staged_or_not(world):
    with pytest.raises(DatabaseError, match='declares the index "by_n" twice'):
        world.write(lambda ns: ns.declare_table("t", STAGED, STAGED))
    with pytest.raises(DatabaseError, match="have the same fields"):
        world.write(lambda ns: ns.declare_table("t", STAGED, {"again": ["n"]}))
