"""The function spec: what `npx convex function-spec` prints and code generators read.

Owns Convex's form of it. Never adds to what the deploy found. One invariant: every identifier has
`.js` in it, because tools cut the last three characters of a module's name off.
"""

from __future__ import annotations

from typing import Any

from pyconvex.runtime.spec import ComponentSpec, FunctionSpec


def api_spec(component: ComponentSpec) -> list[dict[str, Any]]:
    """One entry a function, in the order of their paths."""
    return [_entry(function) for function in component.functions]


def _entry(function: FunctionSpec) -> dict[str, Any]:
    module, _, name = function.path.rpartition(":")
    return {
        "identifier": f"{module}.js:{name}",
        "functionType": function.kind,
        "visibility": {"kind": "public" if function.public else "internal"},
        "args": function.args,
        "returns": function.returns,
    }
