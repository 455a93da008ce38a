"""Purity where it counts: in the isolates of a server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx2
import pytest

from pyconvex.server import Server, Settings

LIB = """\
import asyncio, os, random, secrets, socket, subprocess, threading, time, uuid
from pathlib import Path
from typing import Any
from pyconvex import *
from pyconvex import components

ADDRESS = ("127.0.0.1", 9)

@query
async def connects(ctx: QueryCtx) -> None:
    socket.create_connection(ADDRESS)

@mutation
async def waits(ctx: MutationCtx) -> None:
    await asyncio.sleep(1)

@query
async def fetches(ctx: QueryCtx) -> Any:
    return await ctx.run_query(components.fetcher.lib.fetch, {})

@query
async def clock(ctx: QueryCtx) -> float:
    return time.time()

@query
async def number(ctx: QueryCtx) -> float:
    return random.random()

@mutation
async def draw(ctx: MutationCtx) -> list[str]:
    return [str(uuid.uuid4()), secrets.token_hex(8), str(random.random())]

@mutation
async def draw_nested(ctx: MutationCtx) -> list[str]:
    return [*await ctx.run_mutation(draw), *await ctx.run_mutation(draw)]

@query
async def variable(ctx: QueryCtx, name: str) -> str | None:
    return os.environ.get(name)

@query
async def variables_of_both(ctx: QueryCtx) -> list[Any]:
    read = lambda: ctx.run_query(components.fetcher.lib.variables, {})
    theirs = await asyncio.gather(read(), read())
    return [dict(os.environ), *theirs, os.getenv("OWN")]

@query
async def order(ctx: QueryCtx) -> list[str]:
    return list({str(number) for number in range(100)})

@query
async def local_hour(ctx: QueryCtx) -> int:
    return time.localtime(0).tm_hour

@action
async def act(ctx: ActionCtx, folder: str) -> list[Any]:
    done = threading.Event()
    threading.Thread(target=done.set).start()
    await asyncio.sleep(0.001)
    (Path(folder) / "written").write_text("x")
    started = time.monotonic()
    time.sleep(0.001)
    output = subprocess.run(["echo", "hi"], capture_output=True, text=True, check=True).stdout
    return [done.wait(5), output, time.monotonic() > started, os.environ["OWN"], time.time()]
"""
COMPONENT = """\
import os, socket
from pyconvex import *

@query
async def fetch(ctx: QueryCtx) -> None:
    socket.create_connection(("127.0.0.1", 9))

@query
async def variables(ctx: QueryCtx) -> dict[str, str]:
    return dict(os.environ)
"""
CONFIG = """\
from purity_fetcher import fetcher
from pyconvex import define_app, v

app = define_app(env={"OWN": v.optional(v.string())})
app.use(fetcher, env={"TOKEN": "t"})
"""
FETCHER = """\
from pyconvex import define_component, v

env = {"TOKEN": v.string()}
fetcher = define_component("fetcher", functions="purity_fetcher.functions", env=env)
"""


class Deployed:
    """The app above, served."""

    def __init__(self, server: Server, folder: Path, client: httpx2.AsyncClient) -> None:
        self.server = server
        self.folder = folder
        self._client = client

    async def call(self, kind: str, path: str, **args: Any) -> Any:
        answer = await self._client.post(
            f"{self.server.url}/api/{kind}", json={"path": path, "args": args, "format": "json"}
        )
        found = answer.json()
        return found.get("value", found.get("errorMessage"))

    async def query(self, path: str, **args: Any) -> Any:
        return await self.call("query", path, **args)

    async def set(self, name: str, value: str) -> None:
        answer = await self._client.post(
            f"{self.server.url}/api/update_environment_variables",
            json={"changes": [{"name": name, "value": value}]},
            headers={"Authorization": f"Convex {self.server.admin_key}"},
        )
        answer.raise_for_status()


Run = Callable[[Callable[[Deployed], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    app = tmp_path / "convex"
    package = tmp_path / "packages" / "purity_fetcher"
    (package / "functions").mkdir(parents=True)
    app.mkdir()
    (package / "__init__.py").write_text(dedent(FETCHER))
    (package / "functions" / "__init__.py").write_text("")
    (package / "functions" / "lib.py").write_text(COMPONENT)
    (app / "convex_config.py").write_text(CONFIG)
    (app / "lib.py").write_text(LIB)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "x")
    monkeypatch.setenv("TZ", "Asia/Tokyo")

    def run(work: Callable[[Deployed], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            settings = Settings(data=tmp_path / "data", port=0)
            async with Server(settings) as server, httpx2.AsyncClient(trust_env=False) as client:
                await server.deploy(app)
                await work(Deployed(server, app, client))

        asyncio.run(main())

    return run


def line_of(text: str, source: str) -> int:
    return next(n for n, line in enumerate(source.splitlines(), 1) if text in line)


def test_refusals_name_the_apps_line(run: Run) -> None:
    async def work(app: Deployed) -> None:
        for path, kind, statement in (
            ("lib:connects", "query", "create_connection"),
            ("lib:waits", "mutation", "asyncio.sleep(1)"),
        ):
            error = await app.call(kind, path)
            assert f"{app.folder}/lib.py:{line_of(statement, LIB)}: Can't " in error
            assert "in queries and mutations. Please consider using an action." in error

    run(work)


def test_refusals_name_the_components_line(run: Run) -> None:
    async def work(app: Deployed) -> None:
        error = await app.query("lib:fetches")
        line = line_of("create_connection", COMPONENT)
        assert f"purity_fetcher/functions/lib.py:{line}: Can't use socket" in error

    run(work)


def test_nested_calls_draw_from_one_seed(run: Run) -> None:
    async def work(app: Deployed) -> None:
        drawn = await app.call("mutation", "lib:draw_nested")
        drawn += await app.call("mutation", "lib:draw_nested")
        assert len(set(drawn)) == len(drawn) == 12

    run(work)


def test_results_that_saw_the_clock_or_a_number_are_shared(run: Run) -> None:
    async def work(app: Deployed) -> None:
        for path in ("lib:clock", "lib:number"):
            first = await app.query(path)
            assert await app.query(path) == first

    run(work)


def test_variables_are_the_components_and_their_reads_recorded(run: Run) -> None:
    async def work(app: Deployed) -> None:
        assert await app.query("lib:variable", name="OWN") is None
        await app.set("OWN", "a")
        assert await app.query("lib:variable", name="OWN") == "a"
        for name in ("PATH", "SECRET_OF_THE_SERVER", "TOKEN"):
            assert await app.query("lib:variable", name=name) is None
        own, *theirs, again = await app.query("lib:variables_of_both")
        here = {"CONVEX_CLOUD_URL": app.server.url, "CONVEX_SITE_URL": app.server.site_url}
        assert own == {"OWN": "a", **here}
        assert theirs == [{"TOKEN": "t", **here}] * 2
        assert again == "a"

    run(work)


def test_every_template_has_one_order_and_one_time_zone(run: Run) -> None:
    async def work(app: Deployed) -> None:
        first = await app.query("lib:order")
        assert await app.query("lib:local_hour") == 0
        (app.folder / "other.py").write_text("")
        await app.server.deploy(app.folder)
        assert await app.query("lib:order") == first

    run(work)


def test_actions_do_what_they_like(run: Run) -> None:
    async def work(app: Deployed) -> None:
        await app.set("OWN", "a")
        done = await app.call("action", "lib:act", folder=str(app.folder.parent))
        now = await app.query("lib:clock")
        assert done[:4] == [True, "hi\n", True, "a"]
        assert abs(done[4] - now) < 60
        assert (app.folder.parent / "written").read_text() == "x"

    run(work)
