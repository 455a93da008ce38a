"""Which HTTP action answers a request.

Owns matching over the routes of an app and the components mounted in it. Never runs a handler. One
invariant: the answer follows from what is in force alone, so a request that nothing answers takes
no isolate.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import NamedTuple

from pyconvex.runtime.app.spec import AppSpec, RouteSpec


class FoundRoute(NamedTuple):
    """An HTTP action: the component that it belongs to, and its route's name there."""

    component: str
    name: str


@dataclass(frozen=True, slots=True)
class _Node:
    """One component's routes, and the components mounted in it by their prefix."""

    component: str
    #: By method and path.
    exact: dict[tuple[str, str], RouteSpec]
    #: The longest first.
    prefixes: list[RouteSpec]
    mounts: list[tuple[str, _Node]]


class HttpRoutes:
    """All routes of one app."""

    def __init__(self, spec: AppSpec) -> None:
        self._http = {c.path: c.http for c in spec.components if c.http is not None}
        root = self._http.get("")
        #: Where the app's own routes begin; what is mounted doesn't move with it.
        self._app_prefix = (root.prefix if root is not None else None) or "/"
        self._root = self._node("")

    def __bool__(self) -> bool:
        """Whether the app answers HTTP requests at all."""
        return "" in self._http or bool(self._root.mounts)

    def find(self, method: str, path: str) -> FoundRoute | None:
        """The action that answers this request, if one does; HEAD is answered as GET."""
        return self._find(self._root, "GET" if method == "HEAD" else method, path)

    def _find(self, node: _Node, method: str, path: str) -> FoundRoute | None:
        own = _below(path, self._app_prefix) if node.component == "" else path
        best: RouteSpec | None = None
        length = -1  # of what matches, in the path as this component sees it
        if own is not None:
            shift = len(path) - len(own)
            if exact := node.exact.get((method, own)):
                return FoundRoute(node.component, exact.name)
            fitting = (r for r in node.prefixes if r.method == method and own.startswith(r.path))
            if best := next(fitting, None):
                length = len(best.path) + shift
        for prefix, child in node.mounts:
            if path.startswith(prefix) and len(prefix) > length:
                return self._find(child, method, path[len(prefix) - 1 :])
        return FoundRoute(node.component, best.name) if best is not None else None

    def _node(self, component: str) -> _Node:
        routes = own.routes if (own := self._http.get(component)) is not None else []
        mounts = [
            (http.prefix, self._node(path))
            for path, http in self._http.items()
            if path and http.prefix is not None and posixpath.dirname(path) == component
        ]
        return _Node(
            component,
            {(r.method, r.path): r for r in routes if not r.prefix},
            sorted((r for r in routes if r.prefix), key=lambda r: len(r.path), reverse=True),
            sorted(mounts, key=lambda mount: len(mount[0]), reverse=True),
        )


def _below(path: str, prefix: str) -> str | None:
    """The path as routes under `prefix` see it; None when it is not under it."""
    return path[len(prefix) - 1 :] if path.startswith(prefix) else None
