"""Schemas from classes and from `define_table`."""

from __future__ import annotations

from typing import Annotated

import pytest

from pyconvex import Document, Id, define_schema, define_table, v
from pyconvex.database import DatabaseError
from pyconvex.functions import DefinitionError, Schema
from pyconvex.functions.schema import collect_schema, schema_check, table_of
from pyconvex.values import NO_TABLES


class User(Document, table="users", indexes={"by_email": ["email"], "by_plan": ["plan", "email"]}):
    email: str
    age: int
    plan: str = "free"
    nick: str | None = None


class Note(Document, table="notes"):
    author: Id[User]
    kind: Annotated[str, v.literal("short")]


EXPLICIT = (
    define_table(
        {
            "email": v.string(),
            "age": v.int(),
            "plan": v.optional(v.string()),
            "nick": v.optional(v.union(v.string(), v.null())),
        }
    )
    .index("by_email", ["email"])
    .index("by_plan", ["plan", "email"])
)


def test_a_class_declares_what_define_table_does() -> None:
    table = table_of(User)
    assert table.validator.json() == EXPLICIT.validator.json()
    assert table.indexes == EXPLICIT.indexes
    assert table.document is User


def test_a_whole_validator_declares_a_table_too() -> None:
    assert define_table(v.any()).validator == v.any()


def test_an_index_has_one_declaration() -> None:
    with pytest.raises(DefinitionError, match="index 'by_email' is declared twice"):
        EXPLICIT.index("by_email", ["age"])


def test_classes_and_explicit_tables_make_one_schema() -> None:
    schema = collect_schema(define_schema({"logs": define_table({})}), [User, Note, User])
    assert list(schema.tables) == ["logs", "users", "notes"]
    assert schema.tables["notes"].document is Note
    assert collect_schema(None, []) == Schema({})


def test_a_table_has_one_declaration() -> None:
    class Other(Document, table="users"):
        name: str

    for explicit, classes in (
        (None, [User, Other]),
        (define_schema({"users": define_table({})}), [User]),
    ):
        with pytest.raises(DefinitionError, match="table 'users' is declared twice"):
            collect_schema(explicit, classes)


def test_documents_are_checked_without_their_system_fields() -> None:
    schema = collect_schema(None, [User])
    good = {"_id": "x", "_creationTime": 1.0, "email": "a@b", "age": 3.0}
    schema_check(schema, NO_TABLES, "users", good)
    schema_check(schema, NO_TABLES, "undeclared", {"anything": 1.0})
    for bad, text in (
        ({**good, "age": "3"}, "does not match validator"),
        ({**good, "more": 1.0}, "extra field `more`"),
        ({"age": 1.0}, "missing the required field `email`"),
    ):
        with pytest.raises(DatabaseError) as caught:
            schema_check(schema, NO_TABLES, "users", bad)
        assert caught.value.code == "SchemaEnforcementError"
        assert 'in table "users" because it does not match the schema: ' in str(caught.value)
        assert text in str(caught.value)


def test_loading_gives_ints_and_instances() -> None:
    table = collect_schema(None, [User]).tables["users"]
    user = table.load({"_id": "x", "_creationTime": 1.0, "email": "a@b", "age": 3.0}, NO_TABLES)
    assert isinstance(user, User)
    assert (user.age, type(user.age)) == (3, int)
    assert (user.plan, user.nick) == ("free", None)


def test_loading_finds_ints_wherever_they_are() -> None:
    table = define_table(
        {
            "list": v.array(v.int()),
            "record": v.optional(v.record(v.string(), v.int())),
            "union": v.union(v.null(), v.object({"n": v.int()})),
            "number": v.float64(),
        }
    )
    loaded = table.load(
        {"list": [1.0], "record": {"a": 2.0}, "union": {"n": 3.0}, "number": 4.0}, NO_TABLES
    )
    assert repr(loaded) == repr({"list": [1], "record": {"a": 2}, "union": {"n": 3}, "number": 4.0})
