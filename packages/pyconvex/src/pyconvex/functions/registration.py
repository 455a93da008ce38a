"""The decorators that make functions callable by clients and by each other.

Owns `query`, `mutation`, `action` and their internal forms, and the value they leave in the module.
Never runs a function: the runtime does. One invariant: a registered function knows its kind,
visibility and validators as soon as it is decorated, its path once its module is analysed.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from pyconvex.functions.blocking import BlockingActionCtx
from pyconvex.functions.context import ActionCtx, MutationCtx, QueryCtx
from pyconvex.functions.errors import DefinitionError
from pyconvex.functions.hints import context_hint, parameters_of
from pyconvex.functions.references import FunctionReference
from pyconvex.values import UNSET, InvalidName, InvalidValidator, Validator, v
from pyconvex.values.names import check_identifier

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class FunctionKind(StrEnum):
    """What a function may do."""

    QUERY = "query"
    MUTATION = "mutation"
    ACTION = "action"

    @property
    def wire(self) -> str:
        """The kind in Convex's spelling: `Query`."""
        return self.value.capitalize()


class RegisteredFunction(Generic[P, R_co]):
    """A function that the host can run; still callable as plain Python, unchecked."""

    def __init__(
        self,
        handler: Callable[..., Awaitable[Any]],
        kind: FunctionKind,
        *,
        public: bool,
        name: str | None,
        args: Mapping[str, Validator] | None,
        returns: Validator | None,
    ) -> None:
        self.handler = handler
        self.kind = kind
        self.public = public
        #: The export's name on the wire; the Python name unless `name=` says otherwise.
        self.export_name = handler.__name__ if name is None else name
        #: Where the function is found; set once, when its module is analysed.
        self.reference: FunctionReference | None = None
        where = f"{kind.value} {handler.__qualname__!r}"
        #: Whether it is a plain `def`, which runs in a thread of its own.
        self.blocking = not inspect.iscoroutinefunction(handler)
        if self.blocking:
            _check_plain_def(handler, kind, where)
        self.parameters, self.returns = parameters_of(handler, where, args, returns)
        _check_context(handler, blocking=self.blocking, where=where)
        fields = {
            p.wire_name: v.optional(p.validator) if p.optional else p.validator
            for p in self.parameters
        }
        try:
            check_identifier(self.export_name)
            self.args = v.object(fields)
        except (InvalidName, InvalidValidator) as error:
            raise DefinitionError(f"{where}: {error}") from None
        self.__name__ = handler.__name__
        self.__doc__ = handler.__doc__
        self.__module__ = handler.__module__

    def __call__(self, ctx: Any, /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R_co]:
        return self.handler(ctx, *args, **kwargs)

    def bind(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Turn validated arguments by wire name into keyword arguments of the handler."""
        bound: dict[str, Any] = {}
        for parameter in self.parameters:
            value = arguments.get(parameter.wire_name, UNSET)
            if value is not UNSET:
                bound[parameter.name] = value
        return bound

    def to_wire(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Turn keyword arguments of the handler into arguments by wire name."""
        names = {p.name: p.wire_name for p in self.parameters}
        return {names.get(name, name): value for name, value in arguments.items()}

    def __repr__(self) -> str:
        visibility = "public" if self.public else "internal"
        return f"<{visibility} {self.kind.value} {self.reference or self.export_name}>"


def _check_plain_def(handler: Callable[..., Any], kind: FunctionKind, where: str) -> None:
    if kind is not FunctionKind.ACTION:
        raise DefinitionError(
            f"{where} must be `async def`: put `async` before `def`. Only actions may be plain "
            "functions."
        )
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        raise DefinitionError(f"{where} holds `yield`: an action returns one result.")


def _check_context(handler: Callable[..., Any], *, blocking: bool, where: str) -> None:
    """Refuse the context of the other kind of action, whose calls would do nothing here."""
    given = context_hint(handler)
    if blocking and inspect.isclass(given) and issubclass(given, ActionCtx):
        raise DefinitionError(
            f"{where} is a plain `def`, so its context is a BlockingActionCtx: write "
            "`ctx: BlockingActionCtx`, or put `async` before `def`."
        )
    if not blocking and given is BlockingActionCtx:
        raise DefinitionError(
            f"{where} is an `async def`, so its context is an ActionCtx: write `ctx: ActionCtx`, "
            "or leave `async` out."
        )


class QueryFunction(RegisteredFunction[P, R_co]):
    """A registered query."""


class MutationFunction(RegisteredFunction[P, R_co]):
    """A registered mutation."""


class ActionFunction(RegisteredFunction[P, R_co]):
    """A registered action."""


QueryHandler = Callable[Concatenate[QueryCtx, P], Awaitable[R]]
MutationHandler = Callable[Concatenate[MutationCtx, P], Awaitable[R]]
ActionHandler = Callable[Concatenate[ActionCtx, P], Awaitable[R]]
BlockingHandler = Callable[Concatenate[BlockingActionCtx, P], R]


def _decorator(cls: type[Any], kind: FunctionKind, public: bool) -> Any:
    def decorate(
        handler: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        args: Mapping[str, Validator] | None = None,
        returns: Validator | None = None,
    ) -> Any:
        def register(target: Callable[..., Any]) -> Any:
            return cls(target, kind, public=public, name=name, args=args, returns=returns)

        return register if handler is None else register(handler)

    return decorate


class _QueryDecorator:
    """Makes an `async def` a query: it reads, never writes, and re-runs when what it read
    changes.
    """

    def __init__(self, public: bool) -> None:
        self._make = _decorator(QueryFunction, FunctionKind.QUERY, public)

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

    def __init__(self, public: bool) -> None:
        self._make = _decorator(MutationFunction, FunctionKind.MUTATION, public)

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

    def __init__(self, public: bool) -> None:
        self._make = _decorator(ActionFunction, FunctionKind.ACTION, public)

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
