"""The kit under pytest-asyncio, in both of its modes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import asyncio

import pytest
import pytest_asyncio
from pyconvex.testing import convex_test

SOURCE = '''
from pyconvex import Document, MutationCtx, QueryCtx, mutation, query

class Note(Document, table="notes"):
    text: str

@mutation
async def add(ctx: MutationCtx, text: str) -> None:
    await ctx.db.insert(Note(text=text))

@mutation
async def add_later(ctx: MutationCtx, text: str) -> None:
    await ctx.scheduler.run_after(5, add, text)

@query
async def texts(ctx: QueryCtx) -> list[str]:
    return [note.text async for note in ctx.db.query(Note)]
'''

@{fixture}
async def t():
    async with convex_test({{"notes.py": SOURCE}}) as t:
        yield t

{mark}
@pytest.mark.parametrize("text", ["a", "b"])
async def test_with_a_fixture(t, text):
    texts = t.subscribe("notes:texts")
    assert await anext(texts) == []
    waiting = asyncio.create_task(anext(texts))
    await t.mutation("notes:add", text=text)
    assert await waiting == [text]
    await t.mutation("notes:add_later", text=text)
    await t.advance(5)
    assert await anext(texts) == [text, text]

{mark}
async def test_a_failure_is_a_failure(t):
    with pytest.raises(Exception, match="Could not find function"):
        await t.query("notes:missing")
"""


@pytest.mark.parametrize(
    ("mode", "fixture", "mark"),
    [
        ("strict", "pytest_asyncio.fixture", "@pytest.mark.asyncio"),
        ("auto", "pytest.fixture", ""),
    ],
)
def test_it_runs_under_pytest_asyncio(tmp_path: Path, mode: str, fixture: str, mark: str) -> None:
    (tmp_path / "test_app.py").write_text(TESTS.format(fixture=fixture, mark=mark))
    ini = f"[pytest]\nfilterwarnings = error\nasyncio_mode = {mode}\n"
    ini += "asyncio_default_fixture_loop_scope = function\n"
    (tmp_path / "pytest.ini").write_text(ini)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_app.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "3 passed" in done.stdout, done.stdout + done.stderr
