"""`ctx.db` over a real transaction."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyconvex import UNSET, Document, Id, define_table, v
from pyconvex.database import DatabaseError
from pyconvex.functions import DatabaseWriter, Schema
from pyconvex.functions.db import DatabaseReader
from pyconvex.functions.schema import table_of


class User(Document, table="users", indexes={"by_plan_age": ["plan", "age"]}):
    name: str
    age: int
    plan: str = "free"


SCHEMA = Schema(
    {
        "users": table_of(User),
        "logs": define_table({"level": v.int(), "text": v.optional(v.string())}),
    }
)

Work = Callable[[DatabaseWriter], Awaitable[Any]]


@pytest.fixture
def run(tables: Any) -> Callable[[Work], Any]:
    """Runs a coroutine function over the database as one mutation."""
    tables.declare(SCHEMA)

    def run(work: Work) -> Any:
        with tables.writing(SCHEMA) as db:
            return asyncio.run(_main(work, db))

    return run


async def _main(work: Work, db: DatabaseWriter) -> Any:
    return await work(db)


def people(run: Any, *names_ages: tuple[str, int]) -> list[Id[User]]:
    async def insert(db: DatabaseWriter) -> list[Id[User]]:
        return [await db.insert(User(name=n, age=a)) for n, a in names_ages]

    return run(insert)  # type: ignore[no-any-return]


def test_a_query_that_writes_is_told_what_may() -> None:
    reader: Any = DatabaseReader.__new__(DatabaseReader)
    with pytest.raises(AttributeError, match=r"Queries only read: db\.insert is for mutations\."):
        reader.insert(User(name="Ada", age=3))
    with pytest.raises(AttributeError, match="'DatabaseReader' object has no attribute 'add'"):
        reader.add(1)


# Point operations


def test_an_inserted_document_comes_back_as_its_class(run: Any) -> None:
    [id] = people(run, ("Ada", 36))
    assert isinstance(id, Id)

    async def read(db: DatabaseWriter) -> Any:
        return await db.get(id)

    user = run(read)
    assert isinstance(user, User)
    assert (user._id, user.name, user.age, user.plan) == (id, "Ada", 36, "free")
    assert type(user.age) is int
    assert isinstance(user._creationTime, float)


def test_the_three_forms_of_insert_store_the_same(run: Any) -> None:
    async def work(db: DatabaseWriter) -> Any:
        ids = [
            await db.insert(User(name="Ada", age=36)),
            await db.insert(User, {"name": "Ada", "age": 36}),
            await db.insert("users", {"name": "Ada", "age": 36.0}),
        ]
        fields = [(await db.get(id)).to_fields() for id in ids]
        return [{k: v for k, v in each.items() if not k.startswith("_")} for each in fields]

    assert run(work) == [{"name": "Ada", "age": 36}] * 3


def test_a_transaction_reads_its_own_writes_and_shares_no_objects(run: Any) -> None:
    async def work(db: DatabaseWriter) -> None:
        tags = {"level": 1, "text": "a"}
        id = await db.insert("logs", tags)
        tags["text"] = "changed outside"
        first = await db.get(id)
        assert (first["text"], first["level"]) == ("a", 1)
        first["text"] = "changed outside"
        assert (await db.get(id))["text"] == "a"
        await db.patch(id, {"level": 2})
        assert (await db.get(id))["level"] == 2

    run(work)


def test_patch_sets_and_removes_top_level_fields(run: Any) -> None:
    [id] = people(run, ("Ada", 36))

    async def work(db: DatabaseWriter) -> Any:
        await db.patch(id, {"plan": "pro", "age": 37})
        pro = await db.get(id)
        await db.patch(id, {"plan": UNSET})
        return pro, await db.get(id)

    pro, unset = run(work)
    assert (pro.plan, pro.age, pro.name) == ("pro", 37, "Ada")
    assert "plan" not in unset.to_fields()
    assert unset.plan == "free"


def test_replace_keeps_id_and_creation_time_only(run: Any) -> None:
    [id] = people(run, ("Ada", 36))

    async def work(db: DatabaseWriter) -> Any:
        before = await db.get(id)
        await db.replace(id, User(name="Bea", age=1))
        first = await db.get(id)
        first.name = "Cleo"  # a stored instance may be given back whole
        await db.replace(id, first)
        return before, await db.get(id)

    before, after = run(work)
    assert (after._id, after._creationTime) == (before._id, before._creationTime)
    assert (after.name, after.age) == ("Cleo", 1)


def test_delete(run: Any) -> None:
    [id] = people(run, ("Ada", 36))

    async def work(db: DatabaseWriter) -> Any:
        await db.delete(id)
        return await db.get(id)

    assert run(work) is None
    for attempt in (lambda db: db.delete(id), lambda db: db.patch(id, {})):
        with pytest.raises(DatabaseError, match=f"on nonexistent document ID {id}"):
            run(attempt)


def test_what_is_no_id(run: Any) -> None:
    with pytest.raises(DatabaseError, match=r"Invalid argument `id` for `db\.get`"):
        run(lambda db: db.get("nonsense"))


def test_ids_are_normalized_per_table(run: Any) -> None:
    [id] = people(run, ("Ada", 36))

    async def work(db: DatabaseWriter) -> Any:
        await db.insert("logs", {"level": 1})
        return [db.normalize_id(User, id), db.normalize_id("logs", id), db.normalize_id(User, "x")]

    assert run(work) == [id, None, None]


def test_writes_must_match_the_schema(run: Any) -> None:
    [id] = people(run, ("Ada", 36))
    for attempt in (
        lambda db: db.insert("users", {"name": "Ada"}),
        lambda db: db.insert(User(name="Ada", age=1.5)),
        lambda db: db.patch(id, {"name": UNSET}),
        lambda db: db.replace(id, {"name": "Ada", "age": 1, "more": True}),
    ):
        with pytest.raises(DatabaseError, match='table "users" because it does not match'):
            run(attempt)


def test_tables_without_schema_take_anything(run: Any) -> None:
    async def work(db: DatabaseWriter) -> Any:
        id = await db.insert("free", {"a": [1, {"b": None}]})
        return (await db.get(id))["a"]

    assert run(work) == [1.0, {"b": None}]


# Queries


def names(run: Any, build: Callable[[DatabaseWriter], Any]) -> list[str]:
    async def work(db: DatabaseWriter) -> list[str]:
        return [user.name for user in await build(db).collect()]

    return run(work)  # type: ignore[no-any-return]


FOUR = (("Ada", 36), ("Bea", 20), ("Cleo", 50), ("Dora", 20))


def test_a_table_comes_in_order_of_creation(run: Any) -> None:
    people(run, *FOUR)
    assert names(run, lambda db: db.query(User)) == ["Ada", "Bea", "Cleo", "Dora"]
    assert names(run, lambda db: db.query("users").order("desc")) == ["Dora", "Cleo", "Bea", "Ada"]
    assert names(run, lambda db: db.query("nothing_here")) == []


def test_an_index_orders_and_bounds(run: Any) -> None:
    async def work(db: DatabaseWriter) -> None:
        for name, age in FOUR:
            await db.insert(User(name=name, age=age, plan="pro" if age > 30 else "free"))

    run(work)

    def pro(db: DatabaseWriter) -> Any:
        return db.query(User).with_index("by_plan_age", plan="pro")

    def free(db: DatabaseWriter) -> Any:
        return db.query(User).with_index("by_plan_age", plan="free")

    assert names(run, lambda db: db.query(User).with_index("by_plan_age")) == [
        "Bea",
        "Dora",
        "Ada",
        "Cleo",
    ]
    assert names(run, pro) == ["Ada", "Cleo"]
    assert names(run, lambda db: pro(db).order("desc")) == ["Cleo", "Ada"]
    assert names(run, lambda db: pro(db).gt(age=36)) == ["Cleo"]
    assert names(run, lambda db: pro(db).gte(age=36).lt(age=50)) == ["Ada"]
    assert names(run, lambda db: pro(db).gt(age=36).lte(age=50).order("desc")) == ["Cleo"]
    assert names(run, lambda db: free(db).gte(age=21)) == []
    assert names(run, lambda db: db.query(User).with_index("by_creation_time").order("desc"))[
        0
    ] == ("Dora")


def test_mistakes_in_ranges(run: Any) -> None:
    people(run, *FOUR)
    for build, code in (
        (lambda q: q("by_plan_age", plan="x").gt(age=1).gte(age=2), "AlreadyDefinedBound"),
        (lambda q: q("by_plan_age", plan="x").lt(age=1).lte(age=2), "AlreadyDefinedBound"),
        (lambda q: q("by_plan_age").gt(plan="a", age=1), "InvalidIndexRange"),
        (lambda q: q("by_plan_age").gt(), "InvalidIndexRange"),
        (lambda q: q("by_nothing"), "IndexNotFound"),
        (lambda q: q("by_plan_age").order("up"), "InvalidOrder"),
    ):
        with pytest.raises(DatabaseError) as caught:
            names(run, lambda db, build=build: build(db.query(User).with_index))  # type: ignore[misc]
        assert caught.value.code == code
    with pytest.raises(DatabaseError):
        names(run, lambda db: db.query(User).with_index("by_plan_age", age=1))


def test_an_index_is_named_before_filters_and_order(run: Any) -> None:
    people(run, *FOUR)
    for build in (
        lambda db: db.query(User).filter(lambda u: True).with_index("by_plan_age"),
        lambda db: db.query(User).order("desc").with_index("by_plan_age"),
    ):
        with pytest.raises(DatabaseError, match="with_index goes before filter and order"):
            names(run, build)


def test_filters_see_typed_documents_and_all_must_hold(run: Any) -> None:
    people(run, *FOUR)

    def adults(db: DatabaseWriter) -> Any:
        return db.query(User).filter(lambda u: u.age > 19).filter(lambda u: u.age < 40)

    assert names(run, adults) == ["Ada", "Bea", "Dora"]

    async def work(db: DatabaseWriter) -> Any:
        return (
            [u.name for u in await adults(db).take(2)],
            (await adults(db).first()).name,
            (await db.query(User).filter(lambda u: u.age == 50).unique()).name,
        )

    assert run(work) == (["Ada", "Bea"], "Ada", "Cleo")


def test_take_first_and_unique(run: Any) -> None:
    ids = people(run, *FOUR)

    async def work(db: DatabaseWriter) -> Any:
        took = await db.query(User).take(2), await db.query(User).take(0)
        nobody = db.query(User).with_index("by_plan_age", plan="none")
        assert await nobody.first() is None
        empty = await db.query(User).with_index("by_plan_age", plan="none").unique()
        return took, await db.query(User).first(), empty

    (two, none), first, empty = run(work)
    assert [u.name for u in two] == ["Ada", "Bea"]
    assert (none, first.name, empty) == ([], "Ada", None)
    with pytest.raises(DatabaseError) as caught:
        run(lambda db: db.query(User).unique())
    assert "unique() query returned more than one result from table users" in str(caught.value)
    assert f"{ids[0]}, {ids[1]}, ..." in str(caught.value)
    with pytest.raises(DatabaseError, match="more than one result"):
        run(_unique_of_dictionaries)


async def _unique_of_dictionaries(db: DatabaseWriter) -> Any:
    await db.insert("free", {})
    await db.insert("free", {})
    return await db.query("free").unique()


def test_async_iteration_stops_where_the_loop_stops(run: Any) -> None:
    people(run, *FOUR)

    async def work(db: DatabaseWriter) -> list[str]:
        seen = []
        async for user in db.query(User):
            seen.append(user.name)
            if user.age == 20:
                break
        return seen

    assert run(work) == ["Ada", "Bea"]


def test_a_query_is_consumed_once(run: Any) -> None:
    people(run, *FOUR)

    async def work(db: DatabaseWriter) -> None:
        query = db.query(User)
        await query.first()
        for again in (query.collect, query.first, lambda: query.take(1), query.unique):
            with pytest.raises(DatabaseError, match="can only be chained once"):
                await again()
        with pytest.raises(DatabaseError, match="can only be chained once"):
            async for _ in query:
                pass

    run(work)


def test_nothing_is_read_before_a_query_is_consumed(tables: Any) -> None:
    tables.declare(SCHEMA)
    with tables.writing(SCHEMA) as db:
        reads = db._namespace._draft.read_set().encode()
        db.query(User).with_index("by_plan_age", plan="x").gt(age=1).order("desc")
        assert db._namespace._draft.read_set().encode() == reads
        asyncio.run(_main(lambda db: db.query(User).first(), db))
        assert db._namespace._draft.read_set().encode() != reads


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    ages=st.lists(st.integers(-5, 5), max_size=12),
    low=st.tuples(st.integers(-5, 5), st.booleans()),
    high=st.tuples(st.integers(-5, 5), st.booleans()),
    descending=st.booleans(),
    n=st.integers(0, 13),
)
def test_a_range_gives_what_a_sorted_list_would(
    tables: Any,
    ages: list[int],
    low: tuple[int, bool],
    high: tuple[int, bool],
    descending: bool,
    n: int,
) -> None:
    async def work(db: DatabaseWriter) -> list[int]:
        for user in await db.query(User).collect():
            await db.delete(user._id)
        for age in ages:
            await db.insert(User(name="x", age=age))
        query = db.query(User).with_index("by_plan_age", plan=UNSET)
        query = query.gte(age=low[0]) if low[1] else query.gt(age=low[0])
        query = query.lte(age=high[0]) if high[1] else query.lt(age=high[0])
        return [u.age for u in await query.order("desc" if descending else "asc").take(n)]

    tables.declare(SCHEMA)
    with tables.writing(SCHEMA) as db:
        found = asyncio.run(_main(work, db))
    wanted = [
        age
        for age in sorted(ages, reverse=descending)
        if (age > low[0] or (low[1] and age == low[0]))
        and (age < high[0] or (high[1] and age == high[0]))
    ]
    assert found == wanted[:n]


def test_the_table_may_be_named_before_an_id(run: Any) -> None:
    [id] = people(run, ("Ada", 36))

    async def work(db: DatabaseWriter) -> Any:
        log = await db.insert("logs", {"text": "a", "level": 1})
        await db.patch(User, id, {"age": 37})
        await db.patch("logs", log, {"level": 2})
        await db.replace("logs", log, {"text": "b", "level": 3})
        found = (await db.get(User, id)).age, (await db.get("logs", log))["level"]
        await db.delete("logs", log)
        return found, await db.get("logs", log)

    assert run(work) == ((37, 3), None)


@pytest.mark.parametrize("method", ["get", "patch", "replace", "delete"])
def test_an_id_of_another_table_is_refused(run: Any, method: str) -> None:
    [id] = people(run, ("Ada", 36))

    async def work(db: DatabaseWriter) -> None:
        await db.insert("logs", {"text": "a", "level": 1})
        value = [{}] if method in ("patch", "replace") else []
        await getattr(db, method)("logs", id, *value)

    with pytest.raises(
        DatabaseError,
        match=rf'^Invalid argument `id` for `db\.{method}`: expected to be an Id<"logs">, '
        r'got Id<"users"> instead\.$',
    ):
        run(work)


def test_system_tables_are_read_through_their_own_door(run: Any, tables: Any) -> None:
    [user] = people(run, ("Ada", 36))

    async def empty(db: DatabaseWriter) -> Any:
        return await db.system.query("_scheduled_functions").collect()

    assert run(empty) == []
    with tables._transaction(None) as tx:
        job = tx.namespace("", system=True).insert("_scheduled_functions", {"name": "a:b"})
        secret = tx.namespace("", system=True).insert("_secrets", {"name": "x"})
        tables._commit(tx)

    async def read(db: DatabaseWriter) -> Any:
        [found] = await db.system.query("_scheduled_functions").collect()
        assert await db.system.get(job) == found
        assert await db.system.get("_scheduled_functions", job) == found
        assert db.system.normalize_id("_scheduled_functions", job) == job
        return found["name"]

    assert run(read) == "a:b"
    user_only = "User tables cannot be accessed with db.system."
    refused: list[tuple[Any, str]] = [
        (lambda db: db.get(job), "System tables can only be accessed with db.system."),
        (lambda db: db.query("_storage").collect(), "System tables can only be accessed"),
        (lambda db: db.delete(job), "System tables (prefixed with `_`) are read-only."),
        (lambda db: db.insert("_storage", {}), "System tables (prefixed with `_`) are read-only."),
        (lambda db: db.system.get(user), user_only),
        (lambda db: db.system.get("users", user), user_only),
        (lambda db: db.system.query("users").collect(), user_only),
        (lambda db: db.system.get(secret), "There is no system table _secrets."),
        (lambda db: db.system.query("_secrets").collect(), "There is no system table _secrets."),
    ]
    for work, text in refused:
        with pytest.raises(DatabaseError, match=re.escape(text)):
            run(lambda db, work=work: _awaited(work(db)))


async def _awaited(work: Any) -> Any:
    return await work
