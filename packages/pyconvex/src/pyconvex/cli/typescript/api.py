"""`_generated/api`: a reference for each function, with the types of arguments and result.

Owns both files. One invariant: what a public function accepts and gives is what its Python hints
say, so that `tsc` finds a call that the server would refuse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias, Union

from pyconvex.cli.typescript.data_model import document_names
from pyconvex.cli.typescript.types import Shape, Writer, braced, key_of, name_of
from pyconvex.functions.pagination import PaginationOptionsValidator, PaginationResultValidator
from pyconvex.runtime.app.spec import ComponentSpec, FunctionSpec
from pyconvex.values import v

#: Functions by name, in modules by name, in folders by name.
Tree: TypeAlias = dict[str, Union[FunctionSpec, "Tree"]]

_HEADER: Final = """\
/* eslint-disable */
/**
 * References to the functions of this app, written by `pyconvex codegen` and `pyconvex dev`.
 * Edits are lost when it is written again.
 */
"""

_SCRIPT: Final = f"""{_HEADER}
import {{ anyApi }} from "convex/server";

export const api = anyApi;
export const internal = anyApi;
"""

_OPTIONS = key_of(PaginationOptionsValidator.make().json())
_PAGE_OF_ANYTHING: dict[str, Any] = PaginationResultValidator.of_items(v.any()).json()["value"]


def api_files(app: ComponentSpec) -> dict[str, str]:
    """Both files by name."""
    writer = _ApiWriter(document_names(app))
    public = writer.tree(function for function in app.functions if function.public)
    internal = writer.tree(function for function in app.functions if not function.public)
    body = f"export declare const api: {public};\n\nexport declare const internal: {internal};\n"
    return {"api.js": _SCRIPT, "api.d.ts": f"{_HEADER}\n{_imports(body)}\n{body}"}


def _imports(body: str) -> str:
    """The names that are used, and no others: some projects' settings refuse those."""
    lines = []
    for source, names in (
        ("convex/server", ("FunctionReference", "PaginationOptions", "PaginationResult")),
        ("./dataModel.js", ("Doc", "Id")),
    ):
        used = [name for name in names if re.search(rf"\b{name}\b", body)]
        if used:
            lines.append(f'import type {{ {", ".join(used)} }} from "{source}";\n')
    return "".join(lines)


class _ApiWriter(Writer):
    """Writes functions, and pages as the hooks for pages want them."""

    def tree(self, functions: Iterable[FunctionSpec]) -> str:
        """The members of `api`."""
        root: Tree = {}
        for function in functions:
            module, _, name = function.path.rpartition(":")
            branch = root
            for part in module.split("/"):
                below = branch.setdefault(part, {})
                assert isinstance(below, dict)  # no module has the name of a folder
                branch = below
            branch[name] = function
        return self._branch(root, 0)

    def _branch(self, branch: Tree, depth: int) -> str:
        lines = []
        for name, below in sorted(branch.items()):
            inner = (
                self._branch(below, depth + 1)
                if isinstance(below, dict)
                else self._reference(below, depth + 1)
            )
            lines.append(f"{name_of(name)}: {inner};")
        return braced(lines, depth)

    def _reference(self, function: FunctionSpec, depth: int) -> str:
        visibility = "public" if function.public else "internal"
        parts = [
            f'"{function.kind.lower()}"',
            f'"{visibility}"',
            self.type(function.args, depth + 1),
            self.type(function.returns, depth + 1),
        ]
        inside = ",\n".join(f"{'  ' * (depth + 1)}{part}" for part in parts)
        return f"FunctionReference<\n{inside}\n{'  ' * depth}>"

    def type(self, shape: Shape, depth: int = 0) -> str:
        if key_of(shape) == _OPTIONS:
            return "PaginationOptions"
        item = _item_of_page(shape)
        if item is not None:
            return f"PaginationResult<{self.type(item, depth)}>"
        return super().type(shape, depth)


def _item_of_page(shape: Shape) -> Shape | None:
    """What a `PaginationResult` is of; None for every other shape."""
    fields = shape.get("value") if shape["type"] == "object" else None
    if not isinstance(fields, Mapping) or fields.keys() != _PAGE_OF_ANYTHING.keys():
        return None
    page = fields["page"]["fieldType"]
    rest = {**fields, "page": _PAGE_OF_ANYTHING["page"]}
    if page["type"] != "array" or key_of(rest) != key_of(_PAGE_OF_ANYTHING):
        return None
    item: Shape = page["value"]
    return item
