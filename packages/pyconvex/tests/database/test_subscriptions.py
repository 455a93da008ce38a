"""What wakes what."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.database import Bound, Bounds, ReadSet, Subscriptions, WriteLog
from pyconvex.storage import DocumentWrite

PAID = Bounds((("plan", "paid"),))


def people(ns):
    ns.declare_table("users", {"by_plan": ["plan", "age"]})
    ids = {}
    for name, plan, age in [
        ("ada", "paid", 30),
        ("bob", "free", 40),
        ("cyd", "paid", 50),
        ("dan", "paid", 60),
    ]:
        ids[name] = ns.insert("users", {"name": name, "plan": plan, "age": age})
    ns.insert("log", {})
    ns.set_env("MODE", "slow")
    ns.set_component("v1", "{}")
    return ids


def take(rows, count):
    return list(islice(rows, count))


def in_range(ns, ids):
    return list(ns.scan("users", "by_plan", PAID))


def first_two(ns, ids):
    return take(ns.scan("users", "by_plan", PAID), 2)


def last_one(ns, ids):
    return take(ns.scan("users", "by_plan", PAID, descending=True), 1)


def filtered(ns, ids):
    return [user for user in ns.scan("users", "by_plan", PAID) if user["age"] > 45]


def got_ada(ns, ids):
    return ns.get(ids["ada"])


def a_variable(ns, ids):
    return ns.env("MODE")


def no_variable(ns, ids):
    return ns.env("OTHER")


def no_table(ns, ids):
    return list(ns.scan("ghosts"))


def the_version(ns, ids):
    return ns.component_version()


def normalized(ns, ids):
    return ns.normalize_id("users", ids["ada"])


def older_than_45(ns, ids):
    return list(ns.scan("users", "by_plan", Bounds((("plan", "paid"),), Bound("age", 45, True))))


def paid(age, plan="paid"):
    return lambda ns, ids: ns.insert("users", {"plan": plan, "age": age})


def patch(who, **fields):
    return lambda ns, ids: ns.patch(ids[who], fields)


TABLE = [
    ("insert inside the range", in_range, paid(45), True),
    ("insert outside the range", in_range, paid(45, "free"), False),
    ("patch of a field without index", in_range, patch("ada", name="Ada"), True),
    ("patch that moves a document out", in_range, patch("ada", plan="free"), True),
    ("patch that moves a document in", in_range, patch("bob", plan="paid"), True),
    ("patch of a document outside", in_range, patch("bob", name="Bob"), False),
    ("patch with the same value", in_range, patch("ada", plan="paid"), False),
    ("replace by the same", got_ada, lambda ns, ids: ns.replace(ids["ada"], ns.get(ids["ada"])), 0),
    ("delete inside the range", in_range, lambda ns, ids: ns.delete(ids["cyd"]), True),
    ("delete outside the range", in_range, lambda ns, ids: ns.delete(ids["bob"]), False),
    ("insert behind what was taken", first_two, paid(55), False),
    ("insert before the last taken", first_two, paid(45), True),
    ("insert into the first place", first_two, paid(1), True),
    ("change of the last taken", first_two, patch("cyd", name="Cyd"), True),
    ("change behind what was taken", first_two, patch("dan", name="Dan"), False),
    ("insert behind the last, read backwards", last_one, paid(61), True),
    ("insert before the last, read backwards", last_one, paid(59), False),
    ("change of a document that a filter rejects", filtered, patch("ada", name="A"), True),
    ("insert below a lower bound", older_than_45, paid(44), False),
    ("insert at a lower bound", older_than_45, paid(45), True),
    ("change of a document that was got", got_ada, patch("ada", age=31), True),
    ("deletion of a document that was got", got_ada, lambda ns, ids: ns.delete(ids["ada"]), True),
    ("change of another document", got_ada, patch("cyd", age=51), False),
    ("change of a variable that was read", a_variable, lambda ns, ids: ns.set_env("MODE", "x"), 1),
    ("removal of it", a_variable, lambda ns, ids: ns.set_env("MODE", None), True),
    ("the same value again", a_variable, lambda ns, ids: ns.set_env("MODE", "slow"), False),
    ("change of another variable", a_variable, lambda ns, ids: ns.set_env("OTHER", "x"), False),
    (
        "setting a variable that was missing",
        no_variable,
        lambda ns, ids: ns.set_env("OTHER", ""),
        1,
    ),
    ("creation of a table that was missing", no_table, lambda ns, ids: ns.insert("ghosts", {}), 1),
    ("creation of another table", no_table, lambda ns, ids: ns.insert("cats", {}), False),
    ("insert, when only an id was normalized", normalized, paid(1), False),
    ("deploy", the_version, lambda ns, ids: ns.set_component("v2", "{}"), True),
    ("deploy of the same", the_version, lambda ns, ids: ns.set_component("v1", "{}"), False),
    (
        "a new index on the table",
        in_range,
        lambda ns, ids: ns.declare_table("users", {"by_plan": ["plan", "age"], "by_age": ["age"]}),
        True,
    ),
    ("a row in a queue", in_range, lambda ns, ids: ns.declare_queue("q"), False),
]


@pytest.mark.parametrize(
    ("look", "change", "wakes"), [c[1:] for c in TABLE], ids=[c[0] for c in TABLE]
)
def test_what_wakes_what(world, look, change, wakes):
    ids = world.write(people)
    tx = world.begin()
    look(tx.namespace(""), ids)
    woken = []
    subscription = world.committer.subscriptions.add(
        ReadSet.decode(tx.read_set().encode()), tx.head.ts, woken.append
    )
    world.write(lambda ns: change(ns, ids))
    assert woken == ([subscription] if wakes else [])
    assert subscription.invalidated_at == (world.store.visible_ts if wakes else None)
    conflict = tx.namespace("").insert("log", {"seen": 1}) and world.commit(tx)[0]
    assert (type(conflict).__name__ == "Conflict") == bool(wakes), "conflicts are the same question"


keys = st.binary(min_size=1, max_size=1)
read_sets = st.lists(st.tuples(st.integers(10, 12), keys, keys | st.none()), max_size=3)
places = st.lists(st.tuples(st.integers(11, 12), keys), max_size=2).map(tuple)
commits = st.lists(st.tuples(keys, places, places), min_size=1, max_size=2)


@given(st.lists(read_sets, max_size=8), st.lists(commits, max_size=6), st.data())
def test_a_commit_wakes_exactly_those_whose_reads_it_touches(parts, history, data):
    log = WriteLog(0)
    subscriptions = Subscriptions(log)
    woken, asleep = [], []
    for part in parts:
        reads = ReadSet()
        for index_id, start, end in part:
            reads.add_range(index_id, start, end) if end else reads.add_point(index_id, start)
        asleep.append(subscriptions.add(reads, 0, woken.append))
    for ts, commit in enumerate(history, 1):
        writes = [DocumentWrite(10, id, b"", 1, old, new) for id, old, new in commit]
        touched = {place for write in writes for place in write.touched()}
        hit = [s for s in asleep if any(s.reads.overlaps(*place) for place in touched)]
        log.append(ts, writes)
        woken.clear()
        assert subscriptions.publish(ts, writes) == len(hit)
        assert {id(s) for s in woken} == {id(s) for s in hit}
        assert all(s.invalidated_at == ts for s in hit)
        for subscription in hit:
            if data.draw(st.booleans()):
                subscription.close()
        asleep = [s for s in asleep if s not in hit]
    for subscription in asleep:
        subscription.close()


def reads_of(world, look):
    tx = world.begin()
    look(tx.namespace(""))
    return tx.read_set(), tx.head.ts


def test_a_subscription_that_is_added_late_comes_back_stale(world):
    ids = world.write(people)
    reads, ts = reads_of(world, lambda ns: ns.get(ids["ada"]))
    world.write(lambda ns: ns.patch(ids["ada"], {"age": 1}))
    stale_at = world.store.visible_ts
    world.write(lambda ns: ns.patch(ids["ada"], {"age": 2}))
    late = world.committer.subscriptions.add(reads, ts, lambda _: pytest.fail("called back"))
    assert late.invalidated_at == stale_at
    world.write(lambda ns: ns.patch(ids["ada"], {"age": 3}))
    late.close()
    older_than_the_log = world.committer.subscriptions.add(reads, 1, lambda _: None)
    assert older_than_the_log.invalidated_at is not None


def test_each_is_called_once_and_never_after_closing(world):
    ids = world.write(people)
    reads, ts = reads_of(world, lambda ns: ns.get(ids["ada"]))
    called = []
    subscriptions = world.committer.subscriptions
    open_, closed = (subscriptions.add(reads, ts, called.append) for _ in range(2))
    closed.close()
    closed.close()
    for age in (1, 2):
        world.write(lambda ns, age=age: ns.patch(ids["ada"], {"age": age}))
    assert called == [open_]
    open_.close()
    assert len(subscriptions) == 0
    assert subscriptions._indexes == {}


def test_a_callback_may_close_and_add(world):
    ids = world.write(people)
    reads, ts = reads_of(world, lambda ns: list(ns.scan("users")))
    subscriptions = world.committer.subscriptions
    again = []

    def renew(subscription) -> None:
        subscription.close()
        again.append(subscriptions.add(reads, world.store.visible_ts, lambda _: None))

    others = [subscriptions.add(reads, ts, renew) for _ in range(3)]
    others[0].close()
    world.write(lambda ns: ns.patch(ids["ada"], {"age": 1}))
    assert len(again) == 2
    assert all(each.invalidated_at is None for each in again)
    assert len(subscriptions) == 2
