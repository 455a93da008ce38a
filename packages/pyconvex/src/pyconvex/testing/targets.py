"""Which function a test means: by path, by reference, or by the function itself.

Owns the way from each form to component, path and arguments. Never runs anything. One invariant: a
function that the test imported and the same function in the deployed folder are one target, and
results come in the classes of the one that the test named.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from pyconvex.functions import FunctionReference, ModuleReference, RegisteredFunction
from pyconvex.functions.arguments import named_arguments
from pyconvex.functions.documents import plain
from pyconvex.runtime.app.image import AppImage
from pyconvex.runtime.notation import canonical_path
from pyconvex.values import Validator, codec

Target: TypeAlias = str | FunctionReference | ModuleReference | RegisteredFunction[..., Any]


class Resolved(NamedTuple):
    """Where a function is, what it gets, and what turns its result into Python's types."""

    component: str
    path: str
    arguments: bytes
    #: None for a function that is not there: the host says so in its own words.
    returns: Validator | None


def resolve(
    image: AppImage,
    component: str,
    target: Target,
    args: tuple[Any, ...],
    named: Mapping[str, Any],
) -> Resolved:
    """What `target` means to code of `component`. Raises `TypeError` for what is no function."""
    component, path, function = find(image, component, target)
    caller: Any = target if isinstance(target, RegisteredFunction) else _reference(path)
    arguments = codec.encode(plain(dict(named_arguments(caller, args, named))))
    return Resolved(component, path, arguments, function.returns if function else None)


def find(
    image: AppImage, component: str, target: Target
) -> tuple[str, str, RegisteredFunction[..., Any] | None]:
    """Component and path of a target, and the function that says what its results are."""
    if isinstance(target, RegisteredFunction):
        return (*_find_function(image, component, target), target)
    if isinstance(target, str):
        path = canonical_path(target)
    elif isinstance(target, (FunctionReference, ModuleReference)):
        reference = target.to_reference() if isinstance(target, ModuleReference) else target
        path = reference.path
        if reference.mount is not None:
            component = f"{component}/{reference.mount}".lstrip("/")
    else:
        raise TypeError(
            f"{target!r} is no function of the app: give its path such as 'users:get', a reference "
            "such as api.users.get, or the decorated function."
        )
    owner = image.components.get(component)
    return component, path, owner.functions.get(path) if owner else None


def _reference(path: str) -> FunctionReference:
    module, _, name = path.rpartition(":")
    return FunctionReference(module, name)


def _find_function(
    image: AppImage, component: str, function: RegisteredFunction[..., Any]
) -> tuple[str, str]:
    """Where a function object is deployed, the given component first."""
    components = sorted(image.components, key=lambda path: (path != component, path))
    for matches in (_is_same, _has_same_source):
        for owner in components:
            for path, deployed in image.components[owner].functions.items():
                if matches(deployed, function):
                    return owner, path
    raise TypeError(f"{function!r} is not part of the app that is tested.")


def _is_same(deployed: RegisteredFunction[..., Any], given: RegisteredFunction[..., Any]) -> bool:
    return deployed is given


def _has_same_source(
    deployed: RegisteredFunction[..., Any], given: RegisteredFunction[..., Any]
) -> bool:
    """Whether one is the other, imported a second time."""
    same_name = deployed.export_name == given.export_name and deployed.kind is given.kind
    return same_name and _file(deployed) == _file(given)


def _file(function: RegisteredFunction[..., Any]) -> str:
    code = getattr(inspect.unwrap(function.handler), "__code__", None)
    return os.path.realpath(code.co_filename) if code is not None else ""
