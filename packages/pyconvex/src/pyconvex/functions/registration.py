"""Functions that the host can run: what the decorators leave in a module.

Owns a function's kind, visibility, validators, and its arguments by either name. Never runs it: the
runtime does. One invariant: a registered function knows its kind, visibility and validators from
the first, its path once its module is analysed.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any, Generic, ParamSpec, TypeVar

from pyconvex.functions.errors import DefinitionError
from pyconvex.functions.hints import parameters_of
from pyconvex.functions.references import FunctionReference
from pyconvex.values import UNSET, InvalidName, InvalidValidator, Validator, v
from pyconvex.values.names import check_identifier

P = ParamSpec("P")
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


class QueryFunction(RegisteredFunction[P, R_co]):
    """A registered query."""


class MutationFunction(RegisteredFunction[P, R_co]):
    """A registered mutation."""


class ActionFunction(RegisteredFunction[P, R_co]):
    """A registered action."""
