"""The arguments of a call in code, by their names on the wire.

Owns the two calling forms: a decorated function takes arguments as Python calls it, a reference
takes them in one dictionary or by name. Never validates: whoever runs the function does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyconvex.functions.references import HANDLE_PREFIX, FunctionReference, ModuleReference


def named_arguments(
    function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The arguments by wire name, from either calling form."""
    handle = isinstance(function, str) and function.startswith(HANDLE_PREFIX)
    if handle or isinstance(function, (FunctionReference, ModuleReference)):
        if len(args) > 1 or (args and kwargs):
            raise TypeError(f"{function}: give the arguments as one dictionary, or by name.")
        return args[0] if args and args[0] is not None else kwargs
    if not hasattr(function, "to_wire"):
        raise TypeError(
            f"{function!r} is no function to run: pass the decorated function itself, or a "
            "reference such as api.module.name, or a handle that ctx.create_function_handle made."
        )
    names = [p.name for p in function.parameters]
    if len(args) > len(names):
        raise TypeError(f"{function!r} takes {len(names)} arguments, {len(args)} were given.")
    positional = dict(zip(names, args, strict=False))
    twice = sorted(positional.keys() & kwargs.keys())
    if twice:
        raise TypeError(f"{function!r} got argument {twice[0]!r} twice.")
    named: Mapping[str, Any] = function.to_wire({**positional, **kwargs})
    return named
