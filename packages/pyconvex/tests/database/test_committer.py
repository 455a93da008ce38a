import asyncio

import pytest

from pyconvex.database import Bounds, Committed, Conflict, ReadSet, WriteLog
from pyconvex.storage import Rejected, Replay, Replayed, StorageFailure


def test_two_blind_inserts_do_not_conflict(world):
    world.write(lambda ns: ns.insert("t", {}))
    first, second = world.begin(), world.begin()
    first.namespace("").insert("t", {"n": 1})
    second.namespace("").insert("t", {"n": 2})
    outcomes = world.commit(first, second)
    assert [type(outcome) for outcome in outcomes] == [Committed, Committed]
    assert outcomes[0].ts < outcomes[1].ts == world.store.visible_ts


def test_creating_the_same_table_twice_conflicts(world):
    first, second = world.begin(), world.begin()
    first.namespace("").insert("t", {"n": 1})
    second.namespace("").insert("t", {"n": 2})
    made, conflict = world.commit(first, second)
    assert isinstance(made, Committed)
    assert isinstance(conflict, Conflict)


def test_an_update_of_the_same_document_names_it(world):
    id = world.write(lambda ns: ns.insert("users", {"n": 0}))
    first, second = world.begin(), world.begin()
    for tx in (first, second):
        tx.namespace("").patch(id, {"n": tx.namespace("").get(id)["n"] + 1})
    made, conflict = world.commit(first, second)
    assert isinstance(made, Committed)
    assert isinstance(conflict, Conflict)
    assert (conflict.table, conflict.document) == ("users", id)
    assert conflict.retry_after_ts <= world.store.visible_ts
    assert conflict.message("users:count").startswith(
        'Documents read from or written to the "users" table changed while this mutation was being '
        f'run and on every subsequent retry. Another call changed the document with ID "{id}".'
    )
    [later] = world.commit(second)
    assert isinstance(later, Conflict)
    assert later.retry_after_ts == made.ts


def test_whose_table_it_is_is_named(world):
    id = world.write(lambda ns: ns.insert("users", {"n": 0}), "mailer")
    first, second = world.begin(), world.begin()
    for tx in (first, second):
        tx.namespace("mailer").patch(id, {"n": tx.namespace("mailer").get(id)["n"] + 1})
    _, conflict = world.commit(first, second)
    assert (conflict.component, conflict.table) == ("mailer", "users")


@pytest.mark.parametrize(
    ("source", "who"),
    [
        ("users:count", "Another call to this mutation"),
        ("users:reset", 'A call to "users:reset"'),
        ("", "Another call"),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_who_changed_it_is_named(world, source, who, together):
    id = world.write(lambda ns: ns.insert("users", {"n": 0}))
    first, second = world.begin(), world.begin()
    for tx in (first, second):
        tx.namespace("").patch(id, {"n": tx.namespace("").get(id)["n"] + 1})
    proposals = [first.proposal(source=source), second.proposal(source="users:count")]
    if together:
        _, conflict = world.committer.commit(proposals)
    else:
        _, [conflict] = (world.committer.commit([each]) for each in proposals)
    assert conflict.source == (source or None)
    assert f'. {who} changed the document with ID "{id}".' in conflict.message("users:count")


def test_one_conflict_in_a_batch_harms_nobody_else(world, field):
    a, b = world.write(lambda ns: [ns.insert("t", {"n": 0}) for _ in range(2)])
    transactions = [world.begin() for _ in range(3)]
    for tx, id in zip(transactions, (a, a, b), strict=True):
        tx.namespace("").patch(id, {"n": 1})
    outcomes = world.commit(*transactions)
    assert [type(outcome) for outcome in outcomes] == [Committed, Conflict, Committed]
    assert world.read(lambda ns: field(ns.scan("t"), "n")) == [1, 1]


def test_a_get_of_nothing_conflicts_with_a_later_insert_of_it(world):
    id = world.write(lambda ns: ns.insert("t", {}))
    document = world.read(lambda ns: ns.get(id))
    world.write(lambda ns: ns.delete(id))
    tx = world.begin()
    assert tx.namespace("").get(id) is None
    tx.namespace("").insert("other", {})
    restore = world.begin()
    info = restore.table_named("", "t")
    from pyconvex.values import codec, ids

    internal = ids.decode_id(id).internal
    restore.put(info, internal, None, (codec.encode(document), document))
    assert isinstance(world.commit(restore)[0], Committed)
    assert isinstance(world.commit(tx)[0], Conflict)


def test_what_changes_nothing_needs_no_commit(world):
    world.write(lambda ns: ns.insert("t", {}))
    tx = world.begin()
    assert len(list(tx.namespace("").scan("t"))) == 1
    world.write(lambda ns: ns.insert("t", {}))
    head = world.store.head
    assert world.commit(tx) == [Committed(tx.head.ts)]
    assert world.store.head == head


def test_rows_for_a_queue_are_judged_like_writes(world):
    id = world.write(lambda ns: (ns.declare_queue("events"), ns.insert("t", {}))[1])
    tx = world.begin()
    tx.namespace("").get(id)
    tx.namespace("").enqueue("events", b"seen")
    world.write(lambda ns: ns.patch(id, {"n": 1}))
    assert isinstance(world.commit(tx)[0], Conflict)
    assert world.store.queue_stats(1).rows == 0


def test_a_resent_request_gets_its_first_answer(world):
    tx = world.begin()
    tx.namespace("").insert("t", {})
    replay = Replay("session", 1, b"answer")
    [first] = world.committer.commit([tx.proposal(replay)])
    again = world.begin()
    again.namespace("").insert("u", {})
    [second] = world.committer.commit([again.proposal(replay)])
    assert second == Replayed(first.ts, b"answer")
    reading = world.begin()
    [third] = world.committer.commit([reading.proposal(Replay("session", 2, b"read"))])
    assert isinstance(third, Committed)
    assert third.ts == world.store.visible_ts
    assert world.read(lambda ns: ns.table_names()) == ["t"]


def test_a_proposal_older_than_the_log_is_to_be_run_again(world):
    tx = world.begin()
    tx.namespace("").insert("t", {})
    world.write(lambda ns: ns.insert("u", {}))
    world.committer.log = WriteLog(world.store.visible_ts)
    [outcome] = world.commit(tx)
    assert outcome == Conflict(world.store.visible_ts)
    assert "some table changed" in outcome.message("f")


def test_a_new_committer_knows_nothing_older_than_itself(world):
    tx = world.begin()
    tx.namespace("").insert("t", {})
    world.write(lambda ns: ns.insert("u", {}))
    from pyconvex.database import Committer

    later = Committer(world.store)
    assert isinstance(later.commit([tx.proposal()])[0], Conflict)
    later.close()


def test_a_read_set_that_lies_about_a_version_is_rejected_by_storage(world):
    import msgspec

    id = world.write(lambda ns: ns.insert("t", {"n": 0}))
    tx = world.begin()
    tx.namespace("").patch(id, {"n": 1})
    world.write(lambda ns: ns.patch(id, {"n": 2}))
    lie = msgspec.structs.replace(tx.proposal(), reads=b"")
    [outcome] = world.committer.commit([lie])
    assert isinstance(outcome, Rejected)
    assert world.read(lambda ns: ns.get(id)["n"]) == 2


def test_a_failing_disk_leaves_log_and_subscriptions_alone(world):
    id = world.write(lambda ns: ns.insert("t", {"n": 0}))
    tx = world.begin()
    tx.namespace("").patch(id, {"big": "x" * 500_000})
    woken = []
    world.committer.subscriptions.add(tx.read_set(), tx.head.ts, woken.append)
    world.store._db.execute("PRAGMA max_page_count=40")
    with pytest.raises(StorageFailure, match="disk is full"):
        world.commit(tx)
    assert woken == []
    world.store._db.execute("PRAGMA max_page_count=100000")
    assert isinstance(world.commit(tx)[0], Committed)
    assert len(woken) == 1


def test_a_commit_becomes_durable(world):
    world.write(lambda ns: ns.insert("t", {}))
    ts = world.store.visible_ts
    asyncio.run(asyncio.wait_for(world.store.wait_durable(ts), 10))
    assert world.store.durable_ts >= ts


JOBS = {"by_state": ["state"]}
NEW = Bounds(equal=(("state", "new"),))


def _appends(ns):
    last = next(ns.scan("t", "by_state", NEW, descending=True), None)
    return ns.insert("t", {"state": "new", "after": last and last["_id"]})


def _takes(ns):
    return ns.patch(next(ns.scan("t", "by_state", NEW))["_id"], {"state": "taken"})


def _pops(ns):
    return ns.delete(next(ns.scan("t", "by_state", NEW))["_id"])


def _counts(ns):
    first = next(ns.scan("t", "by_state", NEW))
    return ns.patch(first["_id"], {"n": first.get("n", 0) + 1})


@pytest.mark.parametrize("changes", [_appends, _takes, _pops, _counts])
def test_what_is_contested_stays_the_same_while_documents_come_and_go(world, changes):
    world.write(lambda ns: [ns.insert("t", {"state": "new"}) for _ in range(5)])
    world.write(lambda ns: ns.declare_table("t", JOBS))
    contested = set()
    for _ in range(3):
        late = world.begin()
        changes(late.namespace(""))
        world.write(changes)
        [outcome] = world.commit(late)
        assert isinstance(outcome, Conflict)
        contested.add(outcome.contested)
        elsewhere = world.begin()
        elsewhere.namespace("").insert("u", {})
        assert not ReadSet.decode(elsewhere.proposal().reads).reaches(outcome.contested)
    assert len(contested) == 1
