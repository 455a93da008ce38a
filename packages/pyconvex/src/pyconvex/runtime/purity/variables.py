"""`os.environ` as functions see it.

Owns the view: during a call, the variables of the function's component, each read recorded as
`ctx.env` records it. Never shows queries and mutations the process's own environment. One
invariant: `os.environ` and `ctx.env` give the same values in the same call.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Protocol

from pyconvex.runtime.purity.active import active
from pyconvex.runtime.purity.patches import Patches

if TYPE_CHECKING:
    _Environ = os._Environ[str]
else:
    _Environ = type(os.environ)


class HasEnvironment(Protocol):
    """A function call that is under way."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that it sees."""


#: The function call under way. A context variable, because calls of one run interleave.
_call: ContextVar[HasEnvironment | None] = ContextVar("pyconvex_call", default=None)


def enter_call(call: HasEnvironment) -> Token[HasEnvironment | None]:
    """From here on this task executes that call; hand what is returned to `leave_call`."""
    return _call.set(call)


def leave_call(token: Token[HasEnvironment | None]) -> None:
    """The call is over, and the one that made it goes on."""
    # A call that was abandoned is closed by the collector, in whatever context that runs.
    with suppress(ValueError):
        _call.reset(token)


class _Variables(_Environ):
    """The component's variables, in actions over those of the process."""

    def __getitem__(self, key: str) -> str:
        call = _call.get()
        if call is not None:
            value = call.environment.get(key)
            if value is not None:
                return value
        if active() is not None:
            raise KeyError(key)
        return super().__getitem__(key)

    def __iter__(self) -> Iterator[str]:
        call = _call.get()
        own = {} if call is None else dict.fromkeys(call.environment)
        return iter(own if active() is not None else own | dict.fromkeys(super().__iter__()))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"environ({dict(self)!r})"


def guard_variables(patches: Patches) -> None:
    """Show functions their component's variables; writes are refused where all writes are."""
    patches.set(os.environ, "__class__", _Variables)
