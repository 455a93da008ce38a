import pytest

from pyconvex.database import (
    Bound,
    Bounds,
    Committed,
    ComponentRow,
    Conflict,
    DatabaseError,
    all_components,
)


def test_a_new_index_is_filled_and_an_old_one_let_go(world, field):
    world.write(lambda ns: [ns.insert("t", {"n": n % 3, "m": -n}) for n in range(6)])
    world.write(lambda ns: ns.declare_table("t", {"by_n": ["n"]}))
    assert world.read(lambda ns: field(ns.scan("t", "by_n"), "n")) == [0, 0, 1, 1, 2, 2]
    world.write(lambda ns: ns.insert("t", {"n": 1, "m": 9}))
    world.write(lambda ns: ns.declare_table("t", {"by_m": ["m"]}))
    assert world.read(lambda ns: field(ns.scan("t", "by_m"), "m"))[-2:] == [0, 9]
    with pytest.raises(DatabaseError, match=r"^Index t\.by_n not found\. Indexes of t: "):
        world.read(lambda ns: list(ns.scan("t", "by_n")))
    while world.store.sweep():
        pass
    world.write(lambda ns: ns.delete(next(ns.scan("t"))["_id"]))
    left = "SELECT count(*) FROM entries WHERE index_id >= ?"
    assert world.store._db.execute(left, (16 << 16,)).get == 2 * 6


def test_an_index_whose_fields_change_is_built_anew(world, field):
    world.write(lambda ns: ns.declare_table("t", {"i": ["n"]}))
    world.write(lambda ns: [ns.insert("t", {"n": n, "m": -n}) for n in range(3)])
    world.write(lambda ns: ns.declare_table("t", {"i": ["m"]}))
    assert world.read(lambda ns: field(ns.scan("t", "i"), "n")) == [2, 1, 0]
    before = world.store.head
    world.write(lambda ns: ns.declare_table("t", {"i": ["m"]}))
    assert world.store.head == before, "declaring what is there changes nothing"


def test_a_write_during_a_declaration_conflicts_one_way_or_the_other(world):
    world.write(lambda ns: ns.insert("t", {"n": 1}))
    for deploy_first in (True, False):
        deploy, insert = world.begin(), world.begin()
        deploy.namespace("").declare_table("t", {f"i{deploy_first}": ["n"]})
        insert.namespace("").insert("t", {"n": 2})
        order = (deploy, insert) if deploy_first else (insert, deploy)
        done, refused = world.commit(*order)
        assert isinstance(done, Committed)
        assert isinstance(refused, Conflict)


def test_a_new_index_is_not_readable_in_the_same_transaction(world):
    world.write(lambda ns: ns.insert("t", {"n": 1}))
    ns = world.begin().namespace("")
    ns.declare_table("t", {"by_n": ["n"]})
    with pytest.raises(DatabaseError, match=r"Index t\.by_n is currently backfilling"):
        list(ns.scan("t", "by_n"))


def test_documents_written_after_a_declaration_are_in_the_new_index(world, field):
    id = world.write(lambda ns: ns.insert("t", {"n": 1}))

    def deploy(ns):
        ns.declare_table("t", {"by_n": ["n"]})
        ns.insert("t", {"n": 0})
        ns.patch(id, {"n": 5})

    world.write(deploy)
    assert world.read(lambda ns: field(ns.scan("t", "by_n"), "n")) == [0, 5]


def test_indexes_of_a_table_that_was_just_written_are_refused(world):
    ns = world.begin().namespace("")
    ns.insert("t", {"n": 1})
    with pytest.raises(DatabaseError, match="Declare the indexes of t before writing"):
        ns.declare_table("t", {"by_n": ["n"]})


@pytest.mark.parametrize(
    ("name", "fields", "code"),
    [
        ("by_id", ["a"], "IndexNameReserved"),
        ("by_creation_time", ["a"], "IndexNameReserved"),
        ("_mine", ["a"], "IndexNameReserved"),
        ("1st", ["a"], "InvalidIndexName"),
        ("x" * 65, ["a"], "InvalidIndexName"),
        ("i", [], "EmptyIndex"),
        ("i", ["a"] * 2, "DuplicateField"),
        ("i", [f"f{n}" for n in range(17)], "TooManyFields"),
        ("i", ["_id"], "IndexFieldsContainId"),
        ("i", ["_creationTime"], "IndexFieldsContainCreationTime"),
        ("i", ["_other"], "InvalidField"),
        ("i", ["a..b"], "InvalidField"),
    ],
)
def test_declarations_that_convex_refuses(world, name, fields, code):
    with pytest.raises(DatabaseError) as caught:
        world.begin().namespace("").declare_table("t", {name: fields})
    assert caught.value.code == code


def test_two_indexes_over_the_same_fields(world):
    with pytest.raises(DatabaseError, match='the indexes "a" and "b" have the same fields'):
        world.begin().namespace("").declare_table("t", {"a": ["x"], "b": ["x"]})


def test_numbers_are_per_component_and_tablets_are_not(world):
    for component in ("", "child", "child/grandchild"):
        world.write(lambda ns: [ns.insert("x", {}), ns.insert("y", {})], component)
    for component in ("", "child", "child/grandchild"):
        numbers = world.read(lambda ns: [ns.number_of("x"), ns.number_of("y")], component)
        assert numbers == [10_001, 10_002]
    tx = world.begin()
    tablets = {
        tx.table_named(component, name).tablet
        for component in ("", "child", "child/grandchild")
        for name in "xy"
    }
    assert len(tablets) == 6


def test_components_do_not_see_each_other(world):
    mine = world.write(lambda ns: ns.insert("t", {"whose": "app"}))
    theirs = world.write(lambda ns: ns.insert("t", {"whose": "child"}), "child")
    assert world.read(lambda ns: [d["whose"] for d in ns.scan("t")]) == ["app"]
    assert world.read(lambda ns: [d["whose"] for d in ns.scan("t")], "child") == ["child"]
    assert world.read(lambda ns: ns.get(theirs)) is None
    assert world.read(lambda ns: ns.get(mine), "child") is None


def test_variables(world):
    world.write(lambda ns: (ns.set_env("A", "1"), ns.set_env("B", "2")))
    world.write(lambda ns: ns.set_env("A", "child's"), "child")
    assert world.read(lambda ns: ns.env_all()) == {"A": "1", "B": "2"}
    assert world.read(lambda ns: (ns.env("A"), ns.env("B")), "child") == ("child's", None)
    world.write(lambda ns: (ns.set_env("A", None), ns.set_env("B", "3"), ns.set_env("C", None)))
    assert world.read(lambda ns: ns.env_all()) == {"B": "3"}

    def overwrite(ns):
        ns.set_env("B", "4")
        return ns.env("B"), ns.env_all()

    assert world.write(overwrite) == ("4", {"B": "4"})


def test_components_are_recorded_and_forgotten(world):
    def deploy(ns):
        ns.set_component("v1", '{"a": 1}')

    world.write(deploy)
    world.write(deploy, "child")
    tx = world.begin()
    assert all_components(tx) == [
        ComponentRow("", "v1", '{"a": 1}'),
        ComponentRow("child", "v1", '{"a": 1}'),
    ]
    assert tx.namespace("child").component_version() == "v1"
    world.write(lambda ns: ns.remove_component(), "child")
    assert world.read(lambda ns: ns.component(), "child") is None
    assert world.read(lambda ns: ns.component_version()) == "v1"


def test_queues_have_one_number_each_for_good(world):
    first = world.write(lambda ns: ns.declare_queue("events"))
    other = world.write(lambda ns: ns.declare_queue("events"), "child")
    assert world.write(lambda ns: ns.declare_queue("events")) == first == 1
    assert other == 2
    assert world.read(lambda ns: ns.queue_number("events"), "child") == 2
    world.write(lambda ns: ns.enqueue("events", b"row"), "child")
    assert world.store.queue_stats(2).rows == 1
    with pytest.raises(DatabaseError, match="There is no queue named missing"):
        world.begin().namespace("").enqueue("missing", b"")


def test_dotted_fields_and_missing_ones(world, field):
    from pyconvex.values import UNSET

    world.write(lambda ns: ns.declare_table("t", {"by_city": ["home.city"]}))
    world.write(
        lambda ns: [
            ns.insert("t", {"n": 1, "home": {"city": "Rome"}}),
            ns.insert("t", {"n": 2, "home": {}}),
            ns.insert("t", {"n": 3}),
            ns.insert("t", {"n": 4, "home": {"city": None}}),
        ]
    )
    missing = Bounds((("home.city", UNSET),))
    assert world.read(lambda ns: field(ns.scan("t", "by_city", missing), "n")) == [2, 3]
    present = Bounds(lower=Bound("home.city", UNSET, False))
    assert world.read(lambda ns: field(ns.scan("t", "by_city", present), "n")) == [4, 1]


def test_two_processes_learn_of_each_others_tables(world):
    from pyconvex.database import Catalog

    mine, theirs = Catalog(), Catalog()
    assert world.begin(catalog=theirs).namespace("").number_of("t") is None
    tx = world.begin(catalog=mine)
    tx.namespace("").insert("t", {})
    world.commit(tx)
    assert world.begin(catalog=theirs).namespace("").number_of("t") == 10_001
