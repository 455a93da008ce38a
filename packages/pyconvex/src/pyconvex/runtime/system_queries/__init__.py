"""The queries that tools ask of every deployment: `_system/…`, for administrators only.

Owns which of them there are and how one is found. Never writes. One invariant: they are ordinary
queries over a snapshot, so whoever watches one is told when what it read changes.
"""

from __future__ import annotations

from typing import Any

from pyconvex.functions import FunctionCallError, RegisteredFunction
from pyconvex.functions.schema import Schema
from pyconvex.runtime.app.calling import Callee
from pyconvex.runtime.app.image import ComponentImage
from pyconvex.runtime.system_queries import cli, documents, frontend
from pyconvex.runtime.system_queries.context import SystemCtx

#: What the paths of these queries begin with; no module of an app can have such a path.
PREFIX = "_system/"

_QUERIES: dict[str, RegisteredFunction[..., Any]] = {
    f"{PREFIX}{path}": query
    for queries in (cli.QUERIES, documents.QUERIES, frontend.QUERIES)
    for path, query in queries.items()
}


def is_system(path: str) -> bool:
    """Whether a path names one of these queries, if it names anything."""
    return path.startswith(PREFIX)


def find(component: str, path: str, kind: str) -> Callee:
    """The query at `path`, to look into the component at `component`.

    Raises `FunctionCallError` when there is none.
    """
    function = _QUERIES.get(path)
    if function is None or kind != function.kind:
        raise FunctionCallError(
            f"Could not find function for '{path.removesuffix(':default')}'. This deployment "
            "doesn't have that function of Convex's own tools."
        )
    image = ComponentImage(component, "", {}, Schema({}), ())
    return Callee(image, function)


__all__ = ["PREFIX", "SystemCtx", "find", "is_system"]
