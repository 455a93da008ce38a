from itertools import pairwise

import pytest

from pyconvex.database import Bound, Bounds, DatabaseError, limits, registry
from pyconvex.values import UNSET, Int64


@pytest.fixture
def ns(world):
    return world.begin().namespace("")


def refused(call, code, text) -> None:
    with pytest.raises(DatabaseError) as caught:
        call()
    assert str(caught.value) == text
    assert caught.value.code == code


def test_an_insert_gives_canonical_values_back(ns, world):
    id = ns.insert("t", {"whole": 3, "big": Int64(7), "gone": UNSET, "list": (1, b"x")})
    document = ns.get(id)
    assert document.pop("_id") == id
    assert document.pop("_creationTime") == world.now_ms
    assert document == {"whole": 3.0, "big": Int64(7), "list": [1.0, b"x"]}
    assert isinstance(document["whole"], float)
    assert isinstance(document["big"], Int64)


def test_what_is_read_may_be_changed_without_effect(ns):
    id = ns.insert("t", {"list": [1]})
    ns.get(id)["list"].append(2)
    next(ns.scan("t"))["list"].append(3)
    assert ns.get(id)["list"] == [1]


def test_creation_times_rise_within_a_transaction(ns, world, field):
    for n in range(50):
        ns.insert("t", {"n": n})
    times = field(ns.scan("t"), "_creationTime")
    assert times[0] == world.now_ms
    assert all(before < after for before, after in pairwise(times))
    assert field(ns.scan("t"), "n") == list(range(50))


def test_patch_sets_removes_and_replaces_nested_objects_whole(ns):
    id = ns.insert("t", {"a": 1, "b": {"x": 1, "y": 2}, "c": 3})
    assert ns.patch(id, {"a": UNSET, "b": {"x": 9}, "d": None, "never": UNSET}) is None
    document = ns.get(id)
    assert {name: document[name] for name in document if name[0] != "_"} == {
        "b": {"x": 9},
        "c": 3,
        "d": None,
    }


def test_replace_keeps_what_the_system_set(ns):
    id = ns.insert("t", {"a": 1})
    before = ns.get(id)
    ns.replace(id, {"b": 2, "_id": id, "_creationTime": before["_creationTime"]})
    assert ns.get(id) == {
        "b": 2,
        "_id": id,
        "_creationTime": before["_creationTime"],
    }


def test_system_fields_that_are_not_the_documents_own(ns, world):
    id = ns.insert("t", {})
    text = f'Provided document ID "{id}" doesn\'t match \'_id\' field "x"'
    refused(lambda: ns.patch(id, {"_id": "x"}), "InvalidIdError", text)
    refused(lambda: ns.replace(id, {"_id": "x"}), "InvalidIdError", text)
    refused(
        lambda: ns.patch(id, {"_creationTime": 1}),
        "InvalidCreationTimeError",
        f"Provided creation time {world.now_ms} doesn't match '_creationTime' field in "
        '{"_creationTime":1.0}',
    )
    with pytest.raises(DatabaseError, match="Provided document ID"):
        ns.insert("t", {"_id": id})
    with pytest.raises(DatabaseError, match="_creationTime"):
        ns.insert("t", {"_creationTime": 3})
    with pytest.raises(DatabaseError, match="Provided document ID"):
        ns.patch(id, {"_id": UNSET})


def test_fields_that_start_with_an_underscore(ns):
    refused(
        lambda: ns.insert("t", {"_secret": 1}),
        "SystemFieldError",
        "Field '_secret' starts with an underscore, which is only allowed for system fields like "
        "'_id'",
    )


def test_documents_that_are_too_large_deep_or_odd(ns):
    refused(
        lambda: ns.insert("t", {"big": "x" * 1_100_000}),
        "ValueTooLargeError",
        "Value is too large (1.05 MiB > maximum size 1 MiB)",
    )
    deep: object = 1
    for _ in range(16):
        deep = {"d": deep}
    with pytest.raises(DatabaseError, match="nested 17 levels deep > maximum nesting 16"):
        ns.insert("t", {"deep": deep})
    with pytest.raises(DatabaseError, match="Field name is too long"):
        ns.insert("t", {"x" * 65: 1})
    refused(
        lambda: ns.insert("t", [1]),
        "InvalidArgument",
        "Invalid argument `value` for `db.insert`: Value must be an Object",
    )
    with pytest.raises(DatabaseError, match=r"Invalid argument `value` for `db\.patch`: "):
        ns.patch(ns.insert("t", {}), {"f": object()})


def test_ids_of_the_wrong_kind(ns):
    id = ns.insert("a", {})
    other = ns.insert("b", {})
    assert ns.get(id, "a") == ns.get(id)
    refused(
        lambda: ns.get(other, "a"),
        "InvalidArgument",
        'Invalid argument `id` for `db.get`: expected to be an Id<"a">, got Id<"b"> instead.',
    )
    with pytest.raises(
        DatabaseError, match=r"^Invalid argument `id` for `db.patch`: Unable to dec"
    ):
        ns.patch("nonsense", {})
    refused(
        lambda: ns.get(7),
        "InvalidArgument",
        "Invalid argument `id` for `db.get`, expected string but got 'int'",
    )


def test_an_id_of_an_unknown_table_is_nobodys(world):
    id = world.write(lambda ns: ns.insert("t", {}), "child")
    ns = world.begin().namespace("")
    assert ns.get(id) is None
    refused(lambda: ns.delete(id), "NonexistentDocument", f"Delete on nonexistent document ID {id}")


def test_normalizing_ids(ns):
    id = ns.insert("t", {})
    ns.insert("u", {})
    assert ns.normalize_id("t", id) == id
    assert ns.normalize_id("u", id) is None
    assert ns.normalize_id("missing", id) is None
    assert ns.normalize_id("t", "nonsense") is None


def test_system_tables_have_their_own_door(world):
    tx = world.begin()
    host = tx.namespace("", system=True)
    id = host.insert("_scheduled_functions", {"state": "pending"})
    assert host.number_of("_scheduled_functions") == 512
    world.commit(tx)
    ns = world.begin().namespace("")
    door = "System tables can only be accessed with db.system."
    refused(lambda: ns.get(id), "SystemTableError", door)
    refused(lambda: list(ns.scan("_scheduled_functions")), "SystemTableError", door)
    read_only = "System tables (prefixed with `_`) are read-only."
    refused(lambda: ns.insert("_x", {}), "SystemTableError", read_only)
    refused(lambda: ns.patch(id, {}), "SystemTableError", read_only)
    refused(lambda: ns.delete(id), "SystemTableError", read_only)
    assert world.begin().namespace("", system=True).get(id)["state"] == "pending"


@pytest.mark.parametrize("name", ["", "1st", "ä", "a b", "x" * 65, "a-b"])
def test_table_names_that_cannot_be(ns, name):
    with pytest.raises(DatabaseError, match="Invalid table name"):
        ns.insert(name, {})


def test_a_missing_index_and_a_missing_table(ns):
    assert list(ns.scan("missing")) == []
    assert list(ns.scan("missing", "by_whatever")) == []
    ns.insert("t", {})
    refused(
        lambda: list(ns.scan("t", "nope")),
        "IndexNotFound",
        "Index t.nope not found. Indexes of t: by_creation_time, by_id.",
    )


def test_scanning_by_id(ns, field):
    made = sorted(ns.insert("t", {"n": n}) for n in range(5))
    other = ns.insert("u", {})
    assert field(ns.scan("t", "by_id"), "_id") == made
    assert field(ns.scan("t", "by_id", descending=True), "_id") == made[::-1]
    assert field(ns.scan("t", "by_id", Bounds((("_id", made[2]),))), "_id") == [made[2]]
    assert list(ns.scan("t", "by_id", Bounds((("_id", other),)))) == []
    assert list(ns.scan("t", "by_id", Bounds((("_id", "nonsense"),)))) == []
    with pytest.raises(DatabaseError, match="takes no range"):
        list(ns.scan("t", "by_id", Bounds(lower=Bound("_id", made[0], True))))


@pytest.mark.parametrize("descending", [False, True])
def test_walking_in_pages_covers_every_document_once(world, descending):
    world.write(lambda ns: [ns.insert("t", {"n": n}) for n in range(10)])
    ns = world.begin().namespace("")
    ns.insert("t", {"n": 10})
    pages, after = [], None
    while True:
        page = []
        for key, document in ns.walk("t", descending=descending, after=after):
            page.append(document["n"])
            after = key
            if len(page) == 3:
                break
        if not page:
            break
        pages.append((page, after))
    flat = [n for page, _ in pages for n in page]
    assert flat == (list(range(10, -1, -1)) if descending else list(range(11)))
    first_end, second_end = pages[0][1], pages[1][1]
    bounded = ns.walk("t", descending=descending, after=first_end, through=second_end)
    assert [document["n"] for _, document in bounded] == pages[1][0]


def test_limits_are_met_and_stay_met(world, monkeypatch):
    monkeypatch.setattr(limits, "MAX_DOCUMENTS_READ", 5)
    world.write(lambda ns: [ns.insert("t", {"n": n}) for n in range(8)])
    ns = world.begin().namespace("")
    text = (
        "Too many documents read in a single function execution (limit: 5). Consider using smaller "
        "limits in your queries, paginating your queries, or using indexed queries with a "
        "selective index range expressions."
    )
    refused(lambda: list(ns.scan("t")), "TooManyDocumentsRead", text)
    refused(lambda: next(ns.scan("t")), "TooManyDocumentsRead", text)


@pytest.mark.parametrize(
    ("limit", "value", "code", "act"),
    [
        ("MAX_BYTES_READ", 100, "TooManyBytesRead", lambda ns: list(ns.scan("t"))),
        (
            "MAX_INTERVALS_READ",
            2,
            "TooManyReads",
            lambda ns: [ns.get(d["_id"]) for d in ns.scan("t")],
        ),
        (
            "MAX_DOCUMENTS_WRITTEN",
            2,
            "TooManyWrites",
            lambda ns: [ns.insert("t", {}) for _ in range(3)],
        ),
        (
            "MAX_BYTES_WRITTEN",
            99,
            "TooManyBytesWritten",
            lambda ns: ns.insert("t", {"a": "x" * 99}),
        ),
    ],
)
def test_the_other_limits(world, monkeypatch, limit, value, code, act):
    world.write(lambda ns: [ns.insert("t", {"n": n}) for n in range(4)])
    monkeypatch.setattr(limits, limit, value)
    with pytest.raises(DatabaseError, match=r"in a single function execution \(limit: ") as caught:
        act(world.begin().namespace(""))
    assert caught.value.code == code


def test_a_document_check_sees_the_whole_document_and_can_refuse(world):
    seen = []

    def check(component, tables, table, document):
        assert tables.number_of(table) is not None
        seen.append((component, table, {k: v for k, v in document.items() if k[0] != "_"}))
        if document.get("bad"):
            raise ValueError("refused")

    tx = world.begin(check=check)
    ns = tx.namespace("child")
    id = ns.insert("t", {"a": 1})
    ns.patch(id, {"b": 2})
    ns.patch(id, {"b": 2})
    with pytest.raises(ValueError, match="refused"):
        ns.patch(id, {"bad": True})
    assert seen[:2] == [("child", "t", {"a": 1}), ("child", "t", {"a": 1, "b": 2})]
    assert len(seen) == 3, "a patch that changes nothing is not checked"
    assert "bad" not in ns.get(id)


def test_a_run_that_comes_near_a_limit_is_told(world, monkeypatch):
    world.write(lambda ns: [ns.insert("t", {"n": n}) for n in range(9)])
    monkeypatch.setattr(limits, "MAX_DOCUMENTS_READ", 10)
    monkeypatch.setattr(limits, "MAX_DOCUMENTS_WRITTEN", 5)
    tx = world.begin()
    rows = tx.namespace("").scan("t")
    for _ in range(8):
        next(rows)
    assert tx.warnings() == [], "not above 80% yet"
    next(rows)
    for _ in range(5):
        tx.namespace("").insert("t", {})
    assert tx.warnings() == [
        (
            "TooManyDocumentsRead",
            "Many documents read in a single function execution (actual: 9, limit: 10). Consider "
            "using smaller limits in your queries, paginating your queries, or using indexed "
            "queries with a selective index range expressions.",
        ),
        ("TooManyWrites", "Many writes in a single function execution (actual: 5, limit: 5)."),
    ]


def test_a_deployment_has_so_many_tables_at_most(world, monkeypatch):
    monkeypatch.setattr(registry, "MAX_TABLES", 2)
    world.write(lambda ns: [ns.insert("a", {}), ns.insert("b", {})])
    with pytest.raises(DatabaseError, match=r"^Number of tables cannot exceed 2\.$"):
        world.begin().namespace("child").insert("c", {})
