"""Hints become the validators that the explicit form gives."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired, Optional, Required, TypedDict, Union

import pytest

from pyconvex.functions import Arg, DefinitionError, Document
from pyconvex.functions.hints import parameters_of, validator_of
from pyconvex.values import NO_TABLES, CommitTs, Id, Int64, ValidationFailed, Value, v

if typing.TYPE_CHECKING:
    from decimal import Decimal


class Person(Document, table="people"):
    name: str
    age: int
    nick: str = ""


class Address(TypedDict):
    street: str
    zip: NotRequired[str]


class Partial(TypedDict, total=False):
    street: Required[str]
    zip: str


class Tagged(Address):
    tags: list[str]


ADDRESS = v.object({"street": v.string(), "zip": v.optional(v.string())})
PERSON = v.object(
    {
        "_id": v.id("people"),
        "_creationTime": v.float64(),
        "name": v.string(),
        "age": v.int(),
        "nick": v.optional(v.string()),
    }
)


@pytest.mark.parametrize(
    ("hint", "explicit"),
    [
        (None, v.null()),
        (type(None), v.null()),
        (bool, v.boolean()),
        (int, v.number()),
        (float, v.number()),
        (Int64, v.int64()),
        (str, v.string()),
        (bytes, v.bytes()),
        (Any, v.any()),
        (object, v.any()),
        (Value, v.any()),
        (list, v.array(v.any())),
        (dict, v.record(v.string(), v.any())),
        (list[int], v.array(v.number())),
        (Sequence[str], v.array(v.string())),
        (typing.List[bool], v.array(v.boolean())),  # noqa: UP006  # the old spelling works too
        (dict[str, float], v.record(v.string(), v.number())),
        (Mapping[str, Any], v.record(v.string(), v.any())),
        (dict[Id[Person], int], v.record(v.id("people"), v.number())),
        (str | None, v.union(v.string(), v.null())),
        (Optional[str], v.union(v.string(), v.null())),  # noqa: UP045
        (Union[int, str], v.union(v.number(), v.string())),  # noqa: UP007
        (Literal["a"], v.literal("a")),
        (Literal["a", 1, True], v.union(v.literal("a"), v.literal(1), v.literal(True))),
        (Literal["a", None], v.union(v.literal("a"), v.null())),
        (Id[Person], v.id("people")),
        (Id["people"], v.id("people")),
        (Id[Literal["people"]], v.id("people")),
        (Id, v.string()),
        (Address, ADDRESS),
        (Partial, ADDRESS),
        (Tagged, ADDRESS.extend({"tags": v.array(v.string())})),
        (list[Address], v.array(ADDRESS)),
        (Person, PERSON),
        (Person | None, v.union(PERSON, v.null())),
        (Annotated[str, "whatever"], v.string()),
        (Annotated[str, v.literal("x")], v.literal("x")),
        (v.array(v.string()), v.array(v.string())),
    ],
    ids=str,
)
def test_a_hint_says_the_same_as_the_explicit_form(hint: Any, explicit: Any) -> None:
    assert validator_of(hint, "here").json() == explicit.json()


@pytest.mark.parametrize("hint", [tuple[int, ...], set[str], complex, type, "str", range])
def test_other_hints_are_refused_with_place_and_advice(hint: Any) -> None:
    with pytest.raises(DefinitionError, match=r"^query 'f': .*can't be a Convex type\. Use bool"):
        validator_of(hint, "query 'f'")


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (dict[int, str], "here: Records can only have string keys"),
        (dict[Literal["a"], str], "here: Records cannot have string literal keys"),
        (Id[int], "Id[…] takes a Document class or a table's name"),
        (Literal[b"x"], "here: v.literal(value) must be a string, number, or boolean"),
    ],
)
def test_what_convex_refuses_is_refused_with_its_place(hint: Any, text: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        validator_of(hint, "here")
    assert text in str(caught.value)
    assert str(caught.value).startswith("here: ")


def test_declared_int_gives_an_int_and_float_a_float() -> None:
    kept = validator_of(int, "x").check(3.0, NO_TABLES)
    assert (kept, type(kept)) == (3, int)
    kept = validator_of(float, "x").check(3.0, NO_TABLES)
    assert (kept, type(kept)) == (3.0, float)
    with pytest.raises(ValidationFailed, match="declared as int"):
        validator_of(int, "x").check(1.5, NO_TABLES)


class People:
    def number_of(self, table: str) -> int | None:
        return 10001 if table == "people" else None

    def name_of(self, number: int) -> str | None:
        return "people" if number == 10001 else None


def test_a_document_comes_as_an_instance_of_its_class() -> None:
    from pyconvex.values import ids

    id = ids.encode_id(10001, b"0" * 16)
    stored = {"_id": id, "_creationTime": 1.0, "name": "Ada", "age": 36.0}
    validator = validator_of(Person | None, "x")
    person: Any = validator.check(stored, People())
    assert isinstance(person, Person)
    assert (person.name, person.age, person._id, person.nick) == ("Ada", 36, id, "")
    assert type(person.age) is int
    assert stored["age"] == 36.0, "what was checked is not changed"
    assert validator.check(person, People()) == person, "checking again changes nothing"
    with pytest.raises(ValidationFailed, match="required field `name`"):
        validator_of(Person, "x").check({"_id": id, "_creationTime": 1.0, "age": 1.0}, People())


# Parameters


def test_parameters_with_defaults_wire_names_and_keyword_only() -> None:
    async def handler(
        ctx: Any,
        a: int,
        b: Annotated[str, Arg("bWire")],
        c: str | None = None,
        *,
        d: Annotated[str, v.literal("x"), Arg("dWire")] = "x",
    ) -> str: ...

    parameters, returns = parameters_of(handler, "query 'handler'")
    assert [(p.name, p.wire_name, p.validator.describe(), p.optional) for p in parameters] == [
        ("a", "a", "v.float64()", False),
        ("b", "bWire", "v.string()", False),
        ("c", "c", "v.union(v.string(), v.null())", True),
        ("d", "dWire", 'v.literal("x")', True),
    ]
    assert returns == v.string()


def test_no_hint_means_any_value() -> None:
    async def handler(ctx, a): ...  # type: ignore[no-untyped-def]  # that is the point

    [parameter], returns = parameters_of(handler, "x")
    assert parameter.validator == v.any()
    assert returns == v.any()


def test_explicit_validators_stand_in_for_hints_that_say_nothing_to_convex() -> None:
    async def handler(ctx: Any, at: complex, note: Annotated[set[str], Arg("n")] = ()) -> range: ...  # type: ignore[assignment]

    parameters, returns = parameters_of(
        handler, "x", {"at": v.string(), "n": v.optional(v.any())}, v.int64()
    )
    assert [(p.wire_name, p.validator.json(), p.optional) for p in parameters] == [
        ("at", {"type": "string"}, False),
        ("n", {"type": "any"}, True),
    ]
    assert returns == v.int64()


def test_an_explicit_validator_decides_whether_a_default_may_be_used() -> None:
    async def handler(ctx: Any, a: str = "") -> None: ...

    [parameter], _ = parameters_of(handler, "x", {"a": v.string()})
    assert not parameter.optional


def test_a_name_for_type_checkers_only_is_refused_with_the_way_out() -> None:
    async def handler(ctx: Any, price: Decimal) -> None: ...

    with pytest.raises(DefinitionError, match=r"hint 'Decimal' is not defined.*TYPE_CHECKING"):
        parameters_of(handler, "query 'handler'")


def test_the_same_in_a_table() -> None:
    class Price(Document, table="prices"):
        amount: Decimal

    with pytest.raises(DefinitionError, match=r"table 'prices': the type hint 'Decimal'"):
        validator_of(Price, "x")


async def variadic(ctx: Any, *args: int) -> None: ...
async def keywords(ctx: Any, **args: int) -> None: ...
async def positional(ctx: Any, a: int, /) -> None: ...
async def contextless() -> None: ...
async def optional_without_default(ctx: Any, a: Annotated[str, v.optional(v.string())]) -> None: ...
async def same_wire_name(ctx: Any, a: int, b: Annotated[int, Arg("a")]) -> None: ...


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (variadic, "parameter 'args' must be a named parameter"),
        (keywords, "parameter 'args' must be a named parameter"),
        (positional, "parameter 'a' must be a named parameter"),
        (contextless, "the first parameter must be the context"),
        (optional_without_default, "argument 'a': its validator lets callers leave it out"),
        (same_wire_name, "several arguments have the wire name 'a'"),
    ],
)
def test_parameters_that_no_client_could_fill_are_refused(handler: Any, text: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        parameters_of(handler, "query 'f'")
    assert str(caught.value).startswith("query 'f'")
    assert text in str(caught.value)


def test_args_must_name_parameters() -> None:
    async def handler(ctx: Any, a: int) -> None: ...

    with pytest.raises(DefinitionError, match=r"args names \['b'\], which the handler doesn't"):
        parameters_of(handler, "x", {"b": v.any()})


def test_a_commit_timestamp_is_one_type_also_beside_others() -> None:
    assert validator_of(CommitTs, "x").json() == {"type": "commitTs"}
    assert validator_of(CommitTs | None, "x") == v.union(v.commit_ts(), v.null())
