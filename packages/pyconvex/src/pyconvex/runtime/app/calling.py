"""Finding the function that a call means, and checking what goes in and out.

Owns resolution of paths and references relative to a component, the rules of which kind may call
which, and argument and return validation. Never runs anything. One invariant: text that a client
can see is the same for a function that is missing and one that is internal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from pyconvex.functions import (
    FunctionCallError,
    FunctionKind,
    FunctionReference,
    HttpAction,
    ModuleReference,
    RegisteredFunction,
    parse_path,
)
from pyconvex.functions.documents import plain
from pyconvex.runtime.app.image import AppImage, ComponentImage
from pyconvex.values import InvalidValue, TableNumbers, ValidationFailed, Value, codec
from pyconvex.values.limits import MAX_ARGUMENT_BYTES, MAX_RESULT_BYTES
from pyconvex.values.sizes import format_size, size_of

#: Calls within calls, the first included (Convex's limit).
MAX_CALL_DEPTH = 8

#: What a nested call may be, by the kind of the caller.
_ALLOWED = {
    FunctionKind.QUERY: {FunctionKind.QUERY},
    FunctionKind.MUTATION: {FunctionKind.QUERY, FunctionKind.MUTATION},
    FunctionKind.ACTION: {FunctionKind.QUERY, FunctionKind.MUTATION, FunctionKind.ACTION},
}


class Caller(Protocol):
    """What calls a function: another one, or an HTTP action."""

    @property
    def component(self) -> ComponentImage:
        """The component instance in which it runs."""

    @property
    def path(self) -> str:
        """Its path there, or its route's name."""

    @property
    def kind(self) -> FunctionKind:
        """What it may do."""


@dataclass(frozen=True, slots=True)
class Callee:
    """A function found, and the component instance in which it runs."""

    component: ComponentImage
    function: RegisteredFunction[..., Any]

    @property
    def path(self) -> str:
        """The function's path in its component."""
        return str(self.function.reference)

    @property
    def kind(self) -> FunctionKind:
        """What it may do."""
        return self.function.kind


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An HTTP action found, and the component instance in which it runs."""

    component: ComponentImage
    #: Its route's name.
    path: str
    action: HttpAction

    @property
    def kind(self) -> FunctionKind:
        """What it may do."""
        return FunctionKind.ACTION


#: What code refers to a function by; a handle has been opened to the function that it stands for.
Target: TypeAlias = RegisteredFunction[..., Any] | FunctionReference | ModuleReference | Callee


def find_endpoint(image: AppImage, component: str, name: str) -> Endpoint:
    """The HTTP action of a route. Raises `FunctionCallError` when a deploy has just removed it."""
    owner = image.components.get(component)
    action = owner.http.get(name) if owner else None
    if owner is None or action is None:
        raise FunctionCallError(f"The route '{name}' is not there any more.")
    return Endpoint(owner, name, action)


def find_for_client(
    image: AppImage, component: str, path: str, kind: str, *, public_only: bool
) -> Callee:
    """The function that a client, the scheduler or an administrator names.

    `kind` is "query", "mutation", "action", or "any" for whatever it is.
    """
    owner = image.components.get(component)
    try:
        reference = parse_path(path)
        function = owner.functions.get(reference.path) if owner else None
    except ValueError:
        function = None
    hidden = public_only and (component != "" or function is None or not function.public)
    if owner is None or function is None or hidden:
        scope = "public " if public_only else ""
        similar = "" if public_only else _similar(image, component)
        raise FunctionCallError(f"Could not find {scope}function for '{_shown(path)}'.{similar}")
    if kind not in ("any", function.kind.value):
        raise FunctionCallError(
            f"Trying to execute {reference.module}.py:{reference.name} as {kind.capitalize()}, "
            f"but it is defined as {function.kind.wire}."
        )
    return Callee(owner, function)


def find_for_function(
    image: AppImage,
    caller: Caller,
    target: Target,
    kind: FunctionKind,
) -> Callee:
    """The function that code in `caller` refers to, if the caller may call it."""
    if kind not in _ALLOWED[caller.kind]:
        raise FunctionCallError(
            f"A {caller.kind.value} can't call a {kind.value}: '{caller.path}' tried to."
        )
    callee = _resolve(image, caller.component, target)
    if callee.function.kind is not kind:
        raise FunctionCallError(
            f"Trying to execute {callee.path} as {kind.wire}, "
            f"but it is defined as {callee.function.kind.wire}."
        )
    return callee


def find_named(image: AppImage, caller: Caller, target: Target) -> Callee:
    """The function that code in `caller` refers to, whatever it wants with it."""
    return _resolve(image, caller.component, target)


def find_to_schedule(
    image: AppImage,
    caller: Caller,
    target: Target,
) -> Callee:
    """The function that code in `caller` wants to run later, if it may be scheduled."""
    callee = _resolve(image, caller.component, target)
    if callee.function.kind not in (FunctionKind.MUTATION, FunctionKind.ACTION):
        raise FunctionCallError(
            f"'{callee.path}' is a {callee.function.kind.value}: only mutations and actions can be "
            "scheduled."
        )
    return callee


def _resolve(
    image: AppImage,
    component: ComponentImage,
    target: Target,
) -> Callee:
    if isinstance(target, Callee):
        return target
    if isinstance(target, RegisteredFunction):
        if target.reference is None:
            raise FunctionCallError(f"{target!r} is not defined at the top level of a module.")
        if component.functions.get(target.reference.path) is not target:
            raise FunctionCallError(
                f"{target!r} belongs to another component: call it by a reference such as "
                "components.name.module.function, so that it runs with its own tables."
            )
        return Callee(component, target)
    reference = target.to_reference() if isinstance(target, ModuleReference) else target
    if reference.mount is None:
        function = component.functions.get(reference.path)
        if function is None:
            raise FunctionCallError(
                f"Could not find function for '{reference.path}'." + _similar(image, component.path)
            )
        return Callee(component, function)
    child = _mounted(image, component, reference.mount)
    function = child.functions.get(reference.path)
    if function is None or not function.public:
        raise FunctionCallError(
            f"Child component {reference.mount!r} does not export '{reference.path}'."
        )
    return Callee(child, function)


def find_open_queue(
    image: AppImage, component: ComponentImage, mount: str, queue: str
) -> ComponentImage:
    """The component mounted in `component` that lets it append to this queue."""
    child = _mounted(image, component, mount)
    if queue not in child.open_queues:
        raise FunctionCallError(
            f"Child component {mount!r} has no open queue {queue!r}: call a mutation of it."
        )
    return child


def _mounted(image: AppImage, component: ComponentImage, mount: str) -> ComponentImage:
    child = image.components.get(f"{component.path}/{mount}".lstrip("/"))
    if child is None:
        raise FunctionCallError(
            f"There is no component mounted as {mount!r}: add "
            f"app.use(…, name={mount!r}) to convex_config.py."
        )
    return child


def bind_arguments(callee: Callee, arguments: Value, tables: TableNumbers) -> dict[str, Any]:
    """Keyword arguments for the handler. Raises `FunctionCallError` with Convex's words."""
    try:
        checked = callee.function.args.check(arguments, tables)
    except ValidationFailed as error:
        raise FunctionCallError(f"ArgumentValidationError: {error}") from None
    assert isinstance(checked, dict)
    return callee.function.bind(checked)


def encode_result(callee: Callee, result: object, tables: TableNumbers) -> bytes:
    """The result as tagged JSON, checked. Raises `FunctionCallError` with Convex's words."""
    value = plain(result)
    try:
        callee.function.returns.check(value, tables)
        encoded = codec.encode(value)
    except (ValidationFailed, InvalidValue) as error:
        raise FunctionCallError(f"ReturnsValidationError: {error}") from None
    # An element such as `0.0,` has four bytes of text and counts for nine.
    if len(encoded) > MAX_RESULT_BYTES // 4 and (size := size_of(value)) > MAX_RESULT_BYTES:
        raise FunctionCallError(
            f"Function {callee.path} return value is too large (actual: {format_size(size)}, "
            f"limit: {format_size(MAX_RESULT_BYTES)})"
        )
    return encoded


def decode_result(callee: Callee, encoded: bytes, tables: TableNumbers) -> Any:
    """A nested call's result as the caller gets it, in the types that the callee declares."""
    return callee.function.returns.check(codec.decode(encoded), tables)


def read_arguments(callee: Callee, encoded: bytes) -> Value:
    """Arguments from their tagged JSON. Raises `FunctionCallError` when they are too large."""
    value = codec.decode(encoded)
    if len(encoded) > MAX_ARGUMENT_BYTES // 4 and (size := size_of(value)) > MAX_ARGUMENT_BYTES:
        raise FunctionCallError(
            f"Arguments for {callee.path} are too large (actual: {format_size(size)}, "
            f"limit: {format_size(MAX_ARGUMENT_BYTES)})"
        )
    return value


def crossing(callee: Callee, arguments: Mapping[str, Any]) -> Value:
    """Arguments of a nested call as the callee gets them: Convex values that it shares with
    nobody. Raises `FunctionCallError` when they are too large.
    """
    return read_arguments(callee, codec.encode(plain(dict(arguments))))


def too_deep(path: str) -> str:
    """Why a call beyond `MAX_CALL_DEPTH` is refused."""
    return (
        f"Cross component call depth limit exceeded: '{path}' would be call "
        f"{MAX_CALL_DEPTH + 1} within one another."
    )


def _shown(path: str) -> str:
    return path.replace(".js:", ":").replace(".py:", ":").removesuffix(":default")


def _similar(image: AppImage, component: str) -> str:
    owner = image.components.get(component)
    if owner is None:
        return f" There is no component at {component!r}."
    known = ", ".join(sorted(owner.functions)) or "none"
    return f" Functions that are there: {known}."
