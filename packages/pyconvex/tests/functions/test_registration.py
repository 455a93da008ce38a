"""What the decorators leave in a module."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import pytest

from pyconvex import (
    ActionCtx,
    Arg,
    BlockingActionCtx,
    MutationCtx,
    QueryCtx,
    action,
    internal_action,
    internal_mutation,
    internal_query,
    mutation,
    query,
    v,
)
from pyconvex.functions import DefinitionError, FunctionKind, FunctionReference, RegisteredFunction
from pyconvex.values import UNSET


@query
async def plain(ctx: QueryCtx, a: int, b: str = "x") -> str:
    """Gives b."""
    return b * a


@mutation(name="renamed", args={"a": v.int64()}, returns=v.null())
async def described(ctx: MutationCtx, a: int) -> None: ...


@action()
async def called(ctx: ActionCtx) -> None: ...


@internal_query
async def hidden_query(ctx: QueryCtx) -> None: ...


@internal_mutation
async def hidden_mutation(ctx: MutationCtx) -> None: ...


@internal_action
async def hidden_action(ctx: ActionCtx) -> None: ...


@pytest.mark.parametrize(
    ("function", "kind", "public"),
    [
        (plain, "query", True),
        (described, "mutation", True),
        (called, "action", True),
        (hidden_query, "query", False),
        (hidden_mutation, "mutation", False),
        (hidden_action, "action", False),
    ],
)
def test_kind_and_visibility(
    function: RegisteredFunction[..., Any], kind: str, public: bool
) -> None:
    assert (function.kind, function.public) == (FunctionKind(kind), public)
    assert function.kind.wire == kind.capitalize()
    assert function.reference is None


def test_a_function_is_described_by_its_hints() -> None:
    assert plain.export_name == "plain"
    assert plain.args.json() == v.object({"a": v.int(), "b": v.optional(v.string())}).json()
    assert plain.returns.json() == v.string().json()
    assert (plain.__name__, plain.__doc__, plain.__module__) == ("plain", "Gives b.", __name__)


def test_or_by_explicit_validators_under_another_name() -> None:
    assert described.export_name == "renamed"
    assert described.args.json() == v.object({"a": v.int64()}).json()
    assert described.returns.json() == v.null().json()


def test_it_is_still_callable_as_python() -> None:
    ctx: Any = None
    assert asyncio.run(_run(plain(ctx, 2, b="y"))) == "yy"


async def _run(awaitable: Any) -> Any:
    return await awaitable


def test_it_says_what_it_is() -> None:
    @internal_query
    async def shown(ctx: QueryCtx) -> None: ...

    assert repr(shown) == "<internal query shown>"
    shown.reference = FunctionReference("a/b", "shown")
    assert repr(shown) == "<internal query a/b:shown>"


def test_arguments_are_bound_by_wire_name_and_back() -> None:
    @query
    async def function(
        ctx: QueryCtx, token: Annotated[str, Arg("refreshToken")], n: int = 1
    ) -> None: ...

    assert function.bind({"refreshToken": "t"}) == {"token": "t"}
    assert function.bind({"refreshToken": "t", "n": UNSET}) == {"token": "t"}
    assert function.to_wire({"token": "t", "n": 2}) == {"refreshToken": "t", "n": 2}
    assert function.to_wire({"unknown": 1}) == {"unknown": 1}, "the validator refuses it by name"


def test_a_plain_def_is_refused_with_the_fix() -> None:
    def get(ctx: QueryCtx) -> None: ...

    with pytest.raises(DefinitionError, match=r"query '.*get' must be `async def`: put `async`"):
        query(get)  # type: ignore[call-overload]  # that is the point


def test_an_action_may_be_a_plain_def_with_its_own_context() -> None:
    @action
    def charge(ctx: BlockingActionCtx, cents: int) -> str: ...

    assert charge.blocking
    assert not called.blocking
    assert charge.args.json() == v.object({"cents": v.int()}).json()
    assert repr(charge) == "<public action charge>"

    def wrong(ctx: ActionCtx) -> None: ...

    async def also_wrong(ctx: BlockingActionCtx) -> None: ...

    def yields(ctx: BlockingActionCtx) -> Any:
        yield 1

    with pytest.raises(DefinitionError, match="wrong' is a plain `def`, so its context is a Block"):
        action(wrong)
    with pytest.raises(DefinitionError, match="also_wrong' is an `async def`, so its context is"):
        action(also_wrong)
    with pytest.raises(DefinitionError, match="holds `yield`"):
        action(yields)


@pytest.mark.parametrize("name", ["current user", "", "2fa", "__", "x" * 65, "größe"])
def test_a_name_that_no_client_could_call_is_refused(name: str) -> None:
    async def get(ctx: QueryCtx) -> None: ...

    with pytest.raises(DefinitionError, match=r"^query '.*get': Identifier|Invalid first"):
        query(name=name)(get)


def test_a_wire_name_that_is_no_field_is_refused() -> None:
    async def get(ctx: QueryCtx, a: Annotated[str, Arg("$a")]) -> None: ...

    with pytest.raises(DefinitionError, match=r"get': v\.object\(\) can't have this field"):
        query(get)
