"""Which function a test means, in every form, with folders, modules and components."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pyconvex import ConvexError, components, define_app, define_component, query, v
from pyconvex.testing import FunctionFailed, convex_test

Notes = Mapping[str, str]

COUNTER = """
from pyconvex import Document, MutationCtx, QueryCtx, internal_query, mutation, query

class Count(Document, table="counts"):
    value: int

@mutation
async def add(ctx: MutationCtx, n: int = 1) -> int:
    await ctx.db.insert(Count(value=n))
    await ctx.enqueue("changes", {"by": n})
    return n

@query
async def whoami(ctx: QueryCtx) -> str | None:
    return ctx.user_id

@internal_query
async def total(ctx: QueryCtx) -> int:
    return sum([count.value async for count in ctx.db.query(Count)])

@query
async def word(ctx: QueryCtx) -> str | None:
    return ctx.env.get("WORD")
"""

APP = """
from pyconvex import MutationCtx, QueryCtx, components, mutation, query

@mutation
async def add(ctx: MutationCtx) -> int:
    return await ctx.run_mutation(components.counter.lib.add, {"n": 2})

@query
async def whoami(ctx: QueryCtx) -> list[str | None]:
    return [ctx.user_id, await ctx.run_query(components.counter.lib.whoami)]
"""


def load(name: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def notes_file(notes: Notes, tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "convex" / "notes.py"
    file.parent.mkdir()
    file.write_text(notes["notes.py"])
    yield file
    sys.modules.pop("notes_of_the_test", None)


def test_a_function_that_the_test_imported_is_the_deployed_one(notes_file: Path) -> None:
    notes = load("notes_of_the_test", notes_file)

    async def main() -> None:
        async with convex_test(notes_file.parent) as t:
            id = await t.mutation(notes.add, "a", stars=1)
            note = await t.query(notes.get, id)
            assert isinstance(note, notes.Note)  # the class that the test knows
            t.conflict_next(notes.star)
            assert await t.mutation(notes.star, text="a") == 2
            assert await anext(t.subscribe(notes.stars, "a")) == 2
            assert notes.runs == 0  # what runs is the deployed module

    asyncio.run(main())


def test_imported_modules_run_as_they_are(notes_file: Path) -> None:
    notes = load("notes_of_the_test", notes_file)

    async def main() -> None:
        async with convex_test([notes]) as t:
            id = await t.mutation(notes.add, text="a")
            assert isinstance(await t.query("notes_of_the_test:get", id=id), notes.Note)
            with pytest.raises(notes.TooLong):
                await t.mutation(notes.add, text="longer than it may be")

    asyncio.run(main())
    asyncio.run(main())


def test_modules_of_a_package_have_paths_within_it() -> None:
    def module(name: str) -> ModuleType:
        made = ModuleType(name)

        async def here(ctx: Any) -> str:
            return name

        here.__module__ = name
        made.here = query(here)
        return made

    async def main() -> None:
        modules = [module("shop.convex.users"), module("shop.convex.mail.lists")]
        async with convex_test(modules) as t:
            assert await t.query("users:here") == "shop.convex.users"
            assert await t.query("mail/lists:here") == "shop.convex.mail.lists"

    asyncio.run(main())


def test_a_function_of_another_app_is_refused(notes: Notes, notes_file: Path) -> None:
    imported = load("notes_of_the_test", notes_file)

    async def main() -> None:
        async with convex_test(notes) as t:
            with pytest.raises(TypeError, match="not part of the app"):
                await t.query(imported.texts)

    asyncio.run(main())


@pytest.fixture
def counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    package = tmp_path / "kit_counter"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "lib.py").write_text(COUNTER)
    monkeypatch.syspath_prepend(tmp_path)
    component = define_component(
        "counter", functions="kit_counter", env={"WORD": v.optional(v.string())}
    )
    component.queue("changes")
    yield component
    for name in ("kit_counter", "kit_counter.lib"):
        sys.modules.pop(name, None)


def test_a_component_is_tested_without_an_app(counter: Any) -> None:
    app = define_app()
    app.use(counter, env={"WORD": "hello"})

    async def main() -> None:
        async with convex_test(app) as t:
            assert await t.mutation(components.counter.lib.add, {"n": 3}) == 3
            inside = t.component("counter")
            assert await inside.query("lib:total") == 3
            assert await inside.query("lib:word") == "hello"
            assert t.queue("changes", component="counter") == [{"by": 3.0}]

            async def tables(ctx: Any) -> list[Any]:
                return [count.value for count in await ctx.db.query("counts").collect()]

            assert await inside.run(tables) == [3]
            with pytest.raises(ValueError, match="no queue 'none'"):
                t.queue("none", component="counter")
            with pytest.raises(FunctionFailed, match="There is no component at 'none'"):
                await t.query(components.none.lib.total)

    asyncio.run(main())


def test_components_see_no_identity(counter: Any, tmp_path: Path) -> None:
    config = """
from pyconvex import define_app, define_component
counter = define_component("counter", functions="kit_counter")
counter.queue("changes")
app = define_app()
app.use(counter)
"""
    app = {"m.py": APP, "convex_config.py": config}

    async def main() -> None:
        async with convex_test(app) as t:
            ada = t.with_identity(subject="ada")
            assert await ada.query("m:whoami") == ["ada", None]
            assert await ada.component("counter").query("lib:whoami") is None
            assert await t.mutation("m:add") == 2
            t.conflict_next(components.counter.lib.add)
            assert await t.component("counter").mutation("lib:add") == 1
            assert len(t.queue("changes", component="counter")) == 2

    asyncio.run(main())


OUTSIDE = """
from pyconvex import MutationCtx, components, mutation

@mutation
async def append(ctx: MutationCtx, mount: str, queue: str, fail: bool = False) -> None:
    await ctx.enqueue(queue, {"from": "outside"}, component=getattr(components, mount))
    if fail:
        raise ValueError("no")
"""


def test_an_open_queue_takes_rows_of_whoever_mounts_the_component(counter: Any) -> None:
    config = """
from pyconvex import define_app, define_component
counter = define_component("counter", functions="kit_counter")
counter.queue("changes")
counter.queue("notices", open=True)
app = define_app()
app.use(counter)
"""

    async def main() -> None:
        async with convex_test({"m.py": OUTSIDE, "convex_config.py": config}) as t:
            await t.mutation("m:append", mount="counter", queue="notices")
            with pytest.raises(FunctionFailed):
                await t.mutation("m:append", mount="counter", queue="notices", fail=True)
            assert t.queue("notices", component="counter") == [{"from": "outside"}]
            with pytest.raises(FunctionFailed, match="has no open queue 'changes'"):
                await t.mutation("m:append", mount="counter", queue="changes")
            with pytest.raises(FunctionFailed, match="no component mounted as 'none'"):
                await t.mutation("m:append", mount="none", queue="notices")
            assert t.queue("changes", component="counter") == []

    asyncio.run(main())


def test_convex_errors_keep_their_data_when_their_class_is_unknown(notes: Notes) -> None:
    async def main() -> None:
        async with convex_test(notes) as t:
            with pytest.raises(ConvexError) as caught:
                await t.action("notes:work", text="longer than it may be")
            assert caught.value.data == {"limit": 10}

    asyncio.run(main())
