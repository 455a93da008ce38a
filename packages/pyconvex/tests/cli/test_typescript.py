"""Types for TypeScript, by their text; `tests/typescript` has them compiled."""

from __future__ import annotations

import itertools
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from pyconvex import Int64, v
from pyconvex.cli.frontend import Frontend
from pyconvex.cli.generated import ForeignFilesError, write_types
from pyconvex.cli.typescript import generated_files
from pyconvex.cli.typescript.types import Writer
from pyconvex.runtime.app.analysis import analyse
from pyconvex.runtime.app.loader import unload_app
from pyconvex.runtime.app.spec import AppSpec

_numbers = itertools.count()


def spec_of(**modules: str) -> AppSpec:
    """The spec of an app by its modules; `__` in a name stands for `/`."""
    package = f"_typescript_test_{next(_numbers)}"
    sources = {f"{n.replace('__', '/')}.py": "from pyconvex import *\n" + dedent(text)
               for n, text in modules.items()}  # fmt: skip
    try:
        return analyse(sources, "/app", package).spec
    finally:
        unload_app(package)


@pytest.mark.parametrize(
    ("validator", "written"),
    [
        (v.null(), "null"),
        (v.boolean(), "boolean"),
        (v.int(), "number"),
        (v.float64(), "number"),
        (v.int64(), "bigint"),
        (v.string(), "string"),
        (v.bytes(), "ArrayBuffer"),
        (v.any(), "any"),
        (v.id("users"), 'Id<"users">'),
        (v.literal("a\\b"), '"a\\\\b"'),
        (v.literal(1.5), "1.5"),
        (v.literal(-2), "-2"),
        (v.literal(True), "true"),
        (v.literal(Int64(7)), "7n"),
        (v.array(v.union(v.string(), v.null())), "Array<string | null>"),
        (v.record(v.id("a"), v.bytes()), 'Record<Id<"a">, ArrayBuffer>'),
        (v.union(v.int(), v.float64()), "number"),
        (v.union(), "never"),
        (v.object({}), "{}"),
        (v.object({"b": v.optional(v.int()), "a": v.any()}), "{\n  a: any;\n  b?: number;\n}"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_validators(validator: Any, written: str) -> None:
    assert Writer({}).type(validator.json()) == written


def test_functions_by_kind_visibility_module_and_name() -> None:
    files = generated_files(
        spec_of(
            a__b="""
            @query(name="currentUser")
            async def current_user(ctx: QueryCtx) -> None: ...
            """,
            c="""
            @internal_action
            async def go(ctx: ActionCtx, n: int = 1) -> str: ...
            """,
        )
    )
    text = " ".join(files["api.d.ts"].split())
    assert 'api: { a: { b: { currentUser: FunctionReference< "query", "public", {}, null >' in text
    assert 'internal: { c: { go: FunctionReference< "action", "internal", { n?: number; }' in text
    assert "import type { FunctionReference } from" in text
    assert "anyApi" in files["api.js"]


def test_documents_have_their_short_name_and_system_fields() -> None:
    text = """
    class User(Document, table="users", indexes={"by_name": ["name"]}):
        name: str
        home: dict[str, str] | None = None

    @query
    async def all(ctx: QueryCtx) -> list[User]: ...
    """
    files = generated_files(spec_of(users=text))
    assert 'Array<Doc<"users">>' in files["api.d.ts"]
    assert 'import type { Doc } from "./dataModel.js";' in files["api.d.ts"]
    model = " ".join(files["dataModel.d.ts"].split())
    assert 'document: { _creationTime: number; _id: Id<"users">; home?:' in model
    assert 'by_name: ["name", "_creationTime"];' in model
    assert 'fieldPaths: "_creationTime" | "_id" | "home" | "name";' in model


def test_the_text_is_always_the_same() -> None:
    text = "@query\nasync def one(ctx: QueryCtx) -> int: ...\n"
    assert generated_files(spec_of(a=text, b=text)) == generated_files(spec_of(b=text, a=text))


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    text = "@query\nasync def one(ctx: QueryCtx) -> int: ...\n"
    assert set(write_types(tmp_path, spec_of(a=text))) == {
        "api.js",
        "api.d.ts",
        "dataModel.js",
        "dataModel.d.ts",
    }
    assert write_types(tmp_path, spec_of(a=text)) == []
    assert write_types(tmp_path, spec_of(a=text, b=text)) == ["api.d.ts"]


def test_what_another_tool_has_written_stays(tmp_path: Path) -> None:
    text = "@query\nasync def one(ctx: QueryCtx) -> int: ...\n"
    file = tmp_path / "_generated" / "api.d.ts"
    file.parent.mkdir()
    file.write_text("export declare const api: {};\n")
    with pytest.raises(ForeignFilesError, match="was left as it is"):
        write_types(tmp_path, spec_of(a=text))
    assert [each.name for each in file.parent.iterdir()] == ["api.d.ts"]
    frontend = Frontend(tmp_path, tmp_path)
    assert "another tool" in (frontend.describe(spec_of(a=text)) or "")
    assert frontend.describe(spec_of(a=text)) is None, "it is said once"
