"""The decorators that make functions callable by clients and by each other.

Owns `query`, `mutation`, `action`, their internal forms, and which context each kind gets. Never
runs a function: the runtime does. One invariant: what type checkers are told of a decorated
function is what the host does with it.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from pyconvex.functions.blocking import BlockingActionCtx
from pyconvex.functions.context import ActionCtx, MutationCtx, QueryCtx
from pyconvex.functions.errors import DefinitionError
from pyconvex.functions.hints import context_hint
from pyconvex.functions.registration import (
    ActionFunction,
    FunctionKind,
    MutationFunction,
    QueryFunction,
    RegisteredFunction,
)
from pyconvex.values import Validator

P = ParamSpec("P")
R = TypeVar("R")

QueryHandler = Callable[Concatenate[QueryCtx, P], Awaitable[R]]
MutationHandler = Callable[Concatenate[MutationCtx, P], Awaitable[R]]
ActionHandler = Callable[Concatenate[ActionCtx, P], Awaitable[R]]
BlockingHandler = Callable[Concatenate[BlockingActionCtx, P], R]


def _decorator(cls: type[RegisteredFunction[..., Any]], kind: FunctionKind, *, public: bool) -> Any:
    def decorate(
        handler: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        args: Mapping[str, Validator] | None = None,
        returns: Validator | None = None,
    ) -> Any:
        def register(target: Callable[..., Any]) -> Any:
            made = cls(target, kind, public=public, name=name, args=args, returns=returns)
            _check_context(made)
            return made

        return register if handler is None else register(handler)

    return decorate


def _check_context(function: RegisteredFunction[..., Any]) -> None:
    """Refuse the context of the other kind of action, whose calls would do nothing here."""
    given = context_hint(function.handler)
    where = f"{function.kind.value} {function.handler.__qualname__!r}"
    if function.blocking and inspect.isclass(given) and issubclass(given, ActionCtx):
        raise DefinitionError(
            f"{where} is a plain `def`, so its context is a BlockingActionCtx: write "
            "`ctx: BlockingActionCtx`, or put `async` before `def`."
        )
    if not function.blocking and given is BlockingActionCtx:
        raise DefinitionError(
            f"{where} is an `async def`, so its context is an ActionCtx: write `ctx: ActionCtx`, "
            "or leave `async` out."
        )


class _QueryDecorator:
    """Makes an `async def` a query: it reads, never writes, and re-runs when what it read
    changes.
    """

    def __init__(self, *, public: bool) -> None:
        self._make = _decorator(QueryFunction, FunctionKind.QUERY, public=public)

    @overload
    def __call__(self, handler: QueryHandler[P, R], /) -> QueryFunction[P, R]: ...
    @overload
    def __call__(
        self,
        *,
        name: str | None = None,
        args: Mapping[str, Validator] | None = None,
        returns: Validator | None = None,
    ) -> Callable[[QueryHandler[P, R]], QueryFunction[P, R]]: ...
    def __call__(self, *handler: Any, **options: Any) -> Any:
        return self._make(*handler, **options)


class _MutationDecorator:
    """Makes an `async def` a mutation: one serializable transaction, all or nothing."""

    def __init__(self, *, public: bool) -> None:
        self._make = _decorator(MutationFunction, FunctionKind.MUTATION, public=public)

    @overload
    def __call__(self, handler: MutationHandler[P, R], /) -> MutationFunction[P, R]: ...
    @overload
    def __call__(
        self,
        *,
        name: str | None = None,
        args: Mapping[str, Validator] | None = None,
        returns: Validator | None = None,
    ) -> Callable[[MutationHandler[P, R]], MutationFunction[P, R]]: ...
    def __call__(self, *handler: Any, **options: Any) -> Any:
        return self._make(*handler, **options)


class _ActionWrapper(Protocol):
    """Makes an action of what it is given."""

    @overload
    def __call__(self, handler: ActionHandler[P, R], /) -> ActionFunction[P, R]: ...
    @overload
    def __call__(self, handler: BlockingHandler[P, R], /) -> ActionFunction[P, R]: ...


class _ActionDecorator:
    """Makes a function an action: it may use the network; it calls queries and mutations.

    An `async def` shares the isolate's event loop with other actions; a plain `def` runs in a
    thread of its own, may block, and gets a `BlockingActionCtx`.
    """

    def __init__(self, *, public: bool) -> None:
        self._make = _decorator(ActionFunction, FunctionKind.ACTION, public=public)

    @overload
    def __call__(self, handler: ActionHandler[P, R], /) -> ActionFunction[P, R]: ...
    @overload
    def __call__(self, handler: BlockingHandler[P, R], /) -> ActionFunction[P, R]: ...
    @overload
    def __call__(
        self,
        *,
        name: str | None = None,
        args: Mapping[str, Validator] | None = None,
        returns: Validator | None = None,
    ) -> _ActionWrapper: ...
    def __call__(self, *handler: Any, **options: Any) -> Any:
        return self._make(*handler, **options)


query = _QueryDecorator(public=True)
mutation = _MutationDecorator(public=True)
action = _ActionDecorator(public=True)
internal_query = _QueryDecorator(public=False)
internal_mutation = _MutationDecorator(public=False)
internal_action = _ActionDecorator(public=False)
