"""A disk that is full: callers are told in a sentence, and go on once there is room."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from host_bench import Deployment

from pyconvex.runtime.calls import HostError, Success

APP = """
from pyconvex import Document, MutationCtx, QueryCtx, mutation, query

class Note(Document, table="notes"):
    text: str

@mutation
async def add(ctx: MutationCtx) -> None:
    await ctx.db.insert(Note(text="x" * 500_000))

@query
async def count(ctx: QueryCtx) -> int:
    return len(await ctx.db.query(Note).collect())
"""


def test_a_mutation_on_a_full_disk_says_so_and_the_next_one_finds_room(
    deployed: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        pages = d.store._db.execute("PRAGMA page_count").fetchone()[0]
        d.store._db.execute(f"PRAGMA max_page_count={pages + 10}")
        with pytest.raises(HostError, match="The disk is full: a commit was not possible") as full:
            await d.mutation("lib:add")
        assert (full.value.status, full.value.code) == (503, "StorageFailure")
        assert "lib:add did not commit. The disk is full" in caplog.text
        assert "Traceback" not in caplog.text
        d.store._db.execute("PRAGMA max_page_count=1000000")
        assert isinstance(await d.mutation("lib:add"), Success)
        assert (await d.query("lib:count")).value == b"1.0"

    deployed(scenario)
