"""The kit under anyio, as its pytest plugin runs tests: on asyncio, and a sentence on trio."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import anyio

from pyconvex.testing import convex_test

Notes = Mapping[str, str]


def test_it_runs_under_anyio(notes: Notes) -> None:
    async def scenario() -> None:
        async with convex_test(notes) as t, anyio.create_task_group() as tasks:
            texts = t.subscribe("notes:texts")
            assert await anext(texts) == []
            tasks.start_soon(lambda: t.mutation("notes:add", text="a"))
            with anyio.fail_after(5):
                assert await anext(texts) == ["a"]
                await t.action("notes:work", text="b")
            await t.drain()

    anyio.run(scenario, backend="asyncio")


def test_a_cancelled_scope_leaves_the_deployment_usable(notes: Notes) -> None:
    async def scenario() -> None:
        async with convex_test(notes) as t:
            texts = t.subscribe("notes:texts")
            await anext(texts)
            with anyio.move_on_after(0.01) as scope:
                await anext(texts)
            assert scope.cancelled_caught
            await t.mutation("notes:add", text="a")
            assert await anext(texts) == ["a"]

    anyio.run(scenario, backend="asyncio")


PLUGIN = """
import pytest
from pyconvex.testing import convex_test

SOURCE = '''
from pyconvex import Document, MutationCtx, QueryCtx, mutation, query

class Note(Document, table="notes"):
    text: str

@mutation
async def add(ctx: MutationCtx, text: str) -> None:
    await ctx.db.insert(Note(text=text))

@query
async def texts(ctx: QueryCtx) -> list[str]:
    return [note.text async for note in ctx.db.query(Note)]
'''

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.fixture
async def t():
    async with convex_test({"notes.py": SOURCE}) as t:
        yield t

@pytest.mark.anyio
@pytest.mark.parametrize("text", ["a", "b"])
async def test_with_a_fixture(t, text):
    texts = t.subscribe("notes:texts")
    assert await anext(texts) == []
    await t.mutation("notes:add", text=text)
    assert await anext(texts) == [text]
"""


def test_it_runs_under_anyios_pytest_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_app.py").write_text(PLUGIN)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-p", "no:asyncio", "test_app.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "2 passed" in done.stdout, done.stdout + done.stderr
