"""Documents that hold the timestamp of their own commit."""

from pyconvex.database import Bound, Bounds, Committed, Conflict
from pyconvex.values import COMMIT_TS, Int64

INDEX = {"by_at": ["at"]}


def insert(world, **fields):
    tx = world.begin()
    id = tx.namespace("").insert("t", {"at": COMMIT_TS, **fields})
    [outcome] = world.commit(tx)
    assert isinstance(outcome, Committed)
    return id, outcome.ts


def test_a_committed_document_has_its_commits_timestamp_everywhere(world, field):
    world.write(lambda ns: ns.declare_table("t", INDEX))
    (a, first), (b, second) = insert(world), insert(world, more=[COMMIT_TS, {"x": COMMIT_TS}])
    assert first < second
    assert world.read(lambda ns: ns.get(a)["at"]) == Int64(first)
    assert world.read(lambda ns: ns.get(b)["more"]) == [Int64(second), {"x": Int64(second)}]
    assert world.read(lambda ns: field(ns.scan("t", "by_at"), "at")) == [first, second]
    only = Bounds(equal=(("at", Int64(second)),))
    assert world.read(lambda ns: field(ns.scan("t", "by_at", only), "_id")) == [b]


def test_until_then_it_is_read_as_written_and_sorts_last(world, field):
    world.write(lambda ns: ns.declare_table("t", INDEX))
    world.write(lambda ns: ns.insert("t", {"at": Int64(2**63 - 1)}))
    tx = world.begin()
    ns = tx.namespace("")
    id = ns.insert("t", {"at": COMMIT_TS})
    assert ns.get(id)["at"] is COMMIT_TS
    assert field(ns.scan("t", "by_at"), "at") == [Int64(2**63 - 1), COMMIT_TS]
    ns.patch(id, {"other": 1})
    [outcome] = world.commit(tx)
    assert world.read(lambda ns: ns.get(id)["at"]) == Int64(outcome.ts)


def test_a_patch_moves_a_document_to_its_new_timestamp(world, field):
    world.write(lambda ns: ns.declare_table("t", INDEX))
    (a, _), (b, _) = insert(world), insert(world)
    world.write(lambda ns: ns.patch(a, {"at": COMMIT_TS}))
    assert world.read(lambda ns: field(ns.scan("t", "by_at"), "_id")) == [b, a]
    world.write(lambda ns: ns.delete(a))
    assert world.read(lambda ns: field(ns.scan("t", "by_at"), "_id")) == [b]


def test_whoever_read_the_range_that_the_timestamp_falls_into_conflicts(world):
    """Also in the same group of commits, where no timestamp is known beforehand."""
    world.write(lambda ns: ns.declare_table("t", INDEX))
    _, now = insert(world)
    for wide in (True, False):
        writer, reader = world.begin(), world.begin()
        writer.namespace("").insert("t", {"at": COMMIT_TS})
        ns = reader.namespace("")
        # From now on, for an hour; or from the far future on.
        low, hours = (now + 1, 1) if wide else (now + 10**15, 10**6)
        upper = Bound("at", Int64(low + hours * 3_600_000_000_000), False)
        list(ns.scan("t", "by_at", Bounds(lower=Bound("at", Int64(low), True), upper=upper)))
        ns.insert("seen", {})
        outcomes = world.commit(writer, reader)
        assert isinstance(outcomes[0], Committed)
        assert isinstance(outcomes[1], Conflict if wide else Committed)


def test_subscriptions_hear_of_the_settled_key(world):
    world.write(lambda ns: ns.declare_table("t", INDEX))
    _, now = insert(world)
    tx = world.begin()
    upper = Bound("at", Int64(now + 3_600_000_000_000), False)
    bounds = Bounds(lower=Bound("at", Int64(now + 1), True), upper=upper)
    assert list(tx.namespace("").scan("t", "by_at", bounds)) == []
    reads, ts = tx.read_set(), tx.head.ts
    insert(world)
    assert world.committer.log.first_overlap(reads, ts) is not None


def test_writing_it_again_is_never_elided(world):
    id, first = insert(world)
    world.write(lambda ns: ns.replace(id, {"at": COMMIT_TS}))
    assert world.read(lambda ns: ns.get(id)["at"]) > Int64(first)
