"""The run log of a whole server: it keeps what it promised, and no function fails by it."""

from __future__ import annotations

import json
import shutil
import threading
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from server_process import serving

from pyconvex.runlog.entries import RunEntry
from pyconvex.runlog.log import FOLDER
from pyconvex.runlog.reader import RunLogReader, segments_in
from pyconvex.runlog.segments import file_name
from pyconvex.runlog.window import Window
from pyconvex.storage import START

DEADLINE_S = 60.0
CALLERS = 3
SHOP = """
from pyconvex import *

@mutation
async def fails(ctx: MutationCtx, n: int) -> None:
    ctx.report("shop.span", n, durable=True)
    await ctx.db.insert("things", {"n": n})
    raise ValueError(f"number {n}")

@mutation
async def returns(ctx: MutationCtx, n: int) -> int:
    ctx.report("shop.span", n, durable=True)
    ctx.report("shop.loose", n)
    return n

@query
async def things(ctx: QueryCtx) -> int:
    return len(await ctx.db.query("things").collect())
"""


def ask(url: str, kind: str, path: str, **args: Any) -> Any:
    body = json.dumps({"path": f"shop:{path}", "args": args, "format": "json"}).encode()
    request = urllib.request.Request(
        f"{url}/api/{kind}", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
            return json.loads(answer.read())
    except (urllib.error.URLError, HTTPException, ConnectionError, TimeoutError) as error:
        raise ConnectionError(str(error)) from None


def told(folder: Path, *kinds: str) -> list[RunEntry]:
    reader = RunLogReader(Window(folder / "data" / FOLDER), frozenset(kinds))
    rows, _ = reader.read(START, 1 << 30, 1 << 30)
    return [row.entry for row in rows]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "convex").mkdir()
    (tmp_path / "convex" / "shop.py").write_text(SHOP)
    return tmp_path


def test_what_was_answered_is_in_the_log_after_a_kill(folder: Path) -> None:
    answered: set[int] = set()
    enough = threading.Event()
    with serving(folder) as (process, url):

        def caller(first: int) -> None:
            for n in range(first, 10_000, CALLERS):
                try:
                    said = ask(url, "mutation", "fails" if n % 2 else "returns", n=n)
                except ConnectionError:
                    return
                assert (said["status"] == "error") == bool(n % 2)
                answered.add(n)
                if len(answered) >= 60:
                    enough.set()

        threads = [threading.Thread(target=caller, args=(n,)) for n in range(CALLERS)]
        for thread in threads:
            thread.start()
        assert enough.wait(DEADLINE_S)
        process.kill()
        for thread in threads:
            thread.join(DEADLINE_S)
    spans = [entry.value for entry in told(folder, "shop.span")]
    errors = [entry.value.message for entry in told(folder, "exception")]
    assert answered <= set(spans)
    assert {f"number {n}" for n in answered if n % 2} <= set(errors)
    assert len(set(spans)) == len(spans)

    # The log is torn, as a power cut tears it; the next server goes on behind it.
    last = segments_in(folder / "data" / FOLDER)[-1]
    path = folder / "data" / FOLDER / file_name(last)
    path.write_bytes(path.read_bytes()[:-3])
    with serving(folder) as (_, url):
        ask(url, "mutation", "returns", n=20_000)
    assert [entry.value for entry in told(folder, "shop.span")] == [*spans[:-1], 20_000]
    frame = told(folder, "exception")[0].value.frames[-1]
    assert (frame.module, frame.function, frame.in_app) == ("shop", "fails", True)
    assert frame.source.strip() == 'raise ValueError(f"number {n}")'


def test_a_run_log_that_can_not_be_written_fails_no_function(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / FOLDER).write_text("in the way")
    with serving(folder) as (_, url):
        assert ask(url, "mutation", "returns", n=1)["value"] == 1
        assert ask(url, "mutation", "fails", n=1)["status"] == "error"
        assert ask(url, "query", "things")["value"] == 0
        # It is mended while the server runs.
        (folder / "data" / FOLDER).unlink()
        ask(url, "mutation", "returns", n=2)
    assert [entry.value for entry in told(folder, "shop.span")] == [2]


def test_deleting_the_run_log_loses_nothing_else(folder: Path) -> None:
    with serving(folder) as (_, url):
        ask(url, "mutation", "returns", n=1)
    shutil.rmtree(folder / "data" / FOLDER)
    with serving(folder) as (_, url):
        ask(url, "mutation", "returns", n=2)
    assert [entry.value for entry in told(folder, "shop.span")] == [2]
