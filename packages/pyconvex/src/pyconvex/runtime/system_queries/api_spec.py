"""The function spec: what `npx convex function-spec` prints and code generators read.

Owns Convex's form of it. Never adds to what the deploy found. One invariant: every identifier has
`.js` in it, because tools cut the last three characters of a module's name off.
"""

from __future__ import annotations

from typing import Any

from pyconvex.runtime.app.spec import ComponentSpec, FunctionSpec, RouteSpec


def api_spec(component: ComponentSpec) -> list[dict[str, Any]]:
    """One entry a function, in the order of their paths, then one an HTTP route."""
    routes = component.http.routes if component.http else []
    return [
        *(_entry(function) for function in component.functions),
        *(_route(route) for route in routes),
    ]


def _entry(function: FunctionSpec) -> dict[str, Any]:
    module, _, name = function.path.rpartition(":")
    return {
        "identifier": f"{module}.js:{name}",
        "functionType": function.kind,
        "visibility": {"kind": "public" if function.public else "internal"},
        "args": function.args,
        "returns": function.returns,
    }


def _route(route: RouteSpec) -> dict[str, Any]:
    path = f"{route.path}*" if route.prefix else route.path
    return {"functionType": "HttpAction", "method": route.method, "path": path}
