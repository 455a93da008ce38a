"""References to functions: how code names a function that runs elsewhere.

Owns the path syntax (`module/sub:name`), references by that path, and the `api`, `internal` and
`components` roots. A reference never holds code: it is resolved where it is called, relative to the
component that calls it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NewType, TypeAlias

#: What every function handle begins with.
HANDLE_PREFIX = "function://"

#: Text that stands for one function of the deployment, and that who holds it may run: what
#: `ctx.create_function_handle` gives, also as the type of an argument or field that holds one.
FunctionHandle = NewType("FunctionHandle", str)

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class FunctionReference:
    """Names one function: of the calling component (`mount` None) or of a component mounted in it.

    >>> str(FunctionReference("messages/list", "latest"))
    'messages/list:latest'
    """

    module: str
    name: str
    mount: str | None = None

    @property
    def path(self) -> str:
        """The function's path inside its own component, such as `messages:list`."""
        return f"{self.module}:{self.name}"

    def __str__(self) -> str:
        return self.path if self.mount is None else f"components.{self.mount}.{self.path}"


# Few paths are asked for, and often.
@lru_cache(maxsize=4096)
def parse_path(path: str) -> FunctionReference:
    """Turn `module/sub:name`, as clients send it, into a reference.

    No colon means the export `default`; a `.js` or `.py` ending of the module is dropped.

    >>> parse_path("users.js:get")
    FunctionReference(module='users', name='get', mount=None)
    """
    module, colon, name = path.rpartition(":")
    if not colon:
        module, name = path, "default"
    module = module.removesuffix(".js").removesuffix(".py").strip("/")
    if not module or not _IDENTIFIER.fullmatch(name):
        raise ValueError(f"{path!r} is not a function path such as 'module:name'")
    return FunctionReference(module, name)


class ModuleReference:
    """Part of a path under `api`, `internal` or `components`; attributes lead on.

    The last attribute is the function's name, the ones before it are its module's path.
    """

    __slots__ = ("_mount", "_parts")

    def __init__(self, mount: str | None, parts: tuple[str, ...]) -> None:
        self._mount = mount
        self._parts = parts

    def __getattr__(self, name: str) -> ModuleReference:
        if name.startswith("__"):
            raise AttributeError(name)
        return ModuleReference(self._mount, (*self._parts, name))

    def __repr__(self) -> str:
        root = "api" if self._mount is None else f"components.{self._mount}"
        return ".".join((root, *self._parts))

    def to_reference(self) -> FunctionReference:
        """The function that this path names; at least a module and a name are needed."""
        if len(self._parts) < 2:
            raise ValueError(f"{self!r} names no function: it needs a module and a function name")
        return FunctionReference("/".join(self._parts[:-1]), self._parts[-1], self._mount)


class ComponentReference(ModuleReference):
    """A component that the app mounted, such as `components.posthog`."""

    __slots__ = ()

    def __init__(self, mount: str) -> None:
        super().__init__(mount, ())

    @property
    def mount(self) -> str:
        """The name under which the component is mounted."""
        assert self._mount is not None
        return self._mount


class _Components:
    """`components.<mount>`: the components mounted in the one that asks."""

    def __getattr__(self, name: str) -> ComponentReference:
        if name.startswith("__"):
            raise AttributeError(name)
        return ComponentReference(name)


#: Functions of this app or component by path: `api.users.get`.
api = ModuleReference(None, ())
#: The same, for functions that clients can't call.
internal = ModuleReference(None, ())
#: Mounted components: `components.posthog.lib.capture`.
components = _Components()

#: What can be run besides a decorated function itself.
Target: TypeAlias = FunctionReference | ModuleReference | FunctionHandle
