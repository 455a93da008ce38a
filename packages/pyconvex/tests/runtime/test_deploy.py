"""Deploys: all or nothing, under load, and over restarts."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from host_bench import DEADLINE_S, Deployment, gone, until

from pyconvex.runtime.answering import in_force
from pyconvex.runtime.calls import EnvChange, Failure, HostError, Success
from pyconvex.runtime.isolates.template_process import AppLoadError
from pyconvex.runtime.settings.environment import MissingVariablesError
from pyconvex.values import codec

Deployed = Callable[..., None]


def version(n: int) -> str:
    return f"""
from pyconvex import *

@query
async def version(ctx: QueryCtx) -> int:
    await ctx.db.query("runs").order("desc").first()
    return {n}

@mutation
async def record(ctx: MutationCtx) -> int:
    await ctx.db.insert("runs", {{"version": {n}}})
    return {n}

@action
async def act(ctx: ActionCtx) -> int:
    return await ctx.run_mutation(record)

@query
async def runs(ctx: QueryCtx) -> list[float]:
    return [run["version"] for run in await ctx.db.query("runs").collect()]
"""


def value(outcome: Any) -> Any:
    assert isinstance(outcome, Success), outcome
    return codec.decode(outcome.value)


def test_a_new_version_replaces_the_old_one(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        with pytest.raises(HostError, match="No app has been deployed"):
            await d.query("lib:version")
        for n in (1, 2):
            spec = await d.deploy(lib=version(n), more="")
            assert [f.path for f in spec.root.functions] == [
                "lib:act",
                "lib:record",
                "lib:runs",
                "lib:version",
            ]
            assert value(await d.query("lib:version")) == n
        old = d.pools[0].pids
        await until(lambda: not d.deployer._background)
        gone(old)

    deployed(scenario)


def test_a_failing_deploy_leaves_the_old_app_in_force(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=version(1))
        for text, error in (
            ("raise ValueError('no')", "ValueError: no"),
            ("from pyconvex import *\n@query\ndef f(ctx): ...", "must be `async def`"),
        ):
            with pytest.raises(AppLoadError, match=error):
                await d.deploy(lib=version(2), broken=text)
            assert value(await d.query("lib:version")) == 1
        stored, _ = d.deployer.stored() or ({}, None)
        assert "broken.py" not in stored
        gone(d.pools[1].pids + d.pools[2].pids)

    deployed(scenario)


CONFIG = """
from pyconvex import define_app, v
app = define_app(env={"TOKEN": v.string(), "REGION": v.optional(v.literal("eu"))})
"""


def test_missing_variables_keep_a_deploy_back_until_they_are_set(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=version(1))
        for _ in range(2):
            with pytest.raises(MissingVariablesError) as caught:
                await d.deploy(lib=version(2), convex_config=CONFIG)
            assert caught.value.names == ["TOKEN"]
            assert value(await d.query("lib:version")) == 1
        await d.environment.apply([EnvChange("TOKEN", "t"), EnvChange("REGION", "us")])
        with pytest.raises(MissingVariablesError, match="do not match their declared validators"):
            await d.deploy(lib=version(2), convex_config=CONFIG)
        await d.environment.apply([EnvChange("REGION", None)])
        await d.deploy(lib=version(2), convex_config=CONFIG)
        assert value(await d.query("lib:version")) == 2
        with pytest.raises(HostError, match="Cannot delete required environment variables: TOKEN"):
            await d.environment.apply([EnvChange("TOKEN", None)])

    deployed(scenario)


def test_a_variable_removed_during_a_deploy_keeps_it_back(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(d: Deployment) -> None:
        await d.environment.apply([EnvChange("TOKEN", "t")])
        write = d.system.write

        async def after_a_removal(work: Any, **options: Any) -> Any:
            monkeypatch.setattr(d.system, "write", write)
            await d.environment.apply([EnvChange("TOKEN", None)])
            return await write(work, **options)

        monkeypatch.setattr(d.system, "write", after_a_removal)
        with pytest.raises(MissingVariablesError):
            await d.deploy(lib=version(1), convex_config=CONFIG)
        assert d.deployer.stored() is None

    deployed(scenario)


def test_clients_see_old_or_new_and_never_an_error(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=version(1))
        deployed_all = asyncio.Event()

        async def client(call: Callable[[], Any]) -> list[int]:
            seen: list[int] = []
            while not (deployed_all.is_set() and seen and seen[-1] == 4):
                outcome = await call()
                assert isinstance(outcome, Success), outcome
                seen.append(int(value(outcome)))
                await asyncio.sleep(0)  # a kept result comes without a turn of the loop
            return seen

        async def subscriber() -> list[int]:
            stale = asyncio.Event()
            watch = d.host.queries.watch(d.call("query", "lib:version"), None, stale.set)
            seen: list[int] = []
            while True:
                stale.clear()
                settled = await d.host.queries.settle([watch], 0)
                seen.append(int(value(settled.results[0].outcome)))
                if deployed_all.is_set() and seen[-1] == 4:
                    watch.close()
                    return seen
                await stale.wait()

        clients = [
            asyncio.create_task(each)
            for each in (
                client(lambda: d.query("lib:version")),
                client(lambda: d.mutation("lib:record")),
                client(lambda: d.mutation("lib:record")),
                client(lambda: d.action("lib:act")),
                subscriber(),
            )
        ]
        for n in (2, 3, 4):
            await d.deploy(lib=version(n))
            assert value(await d.query("lib:version")) == n
        deployed_all.set()
        await d.mutation("lib:record")
        for seen in await asyncio.gather(*clients):
            assert seen == sorted(seen), "nobody goes back"
            assert set(seen) <= {1, 2, 3, 4}
        runs = value(await d.query("lib:runs"))
        assert runs == sorted(runs), "no older code ran over newer data"

    deployed(scenario, minimum=2)


def held(d: Deployment, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Hold deploys between the commit and the swap of isolates."""
    release = asyncio.Event()
    write = d.system.write

    async def hold(work: Any, **options: Any) -> Any:
        result = await write(work, **options)
        await release.wait()
        return result

    monkeypatch.setattr(d.system, "write", hold)
    return release


def test_calls_between_commit_and_swap_wait_for_the_new_code(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=version(1))
        watch = d.host.queries.watch(d.call("query", "lib:version"), None, lambda: None)
        missing = d.host.queries.watch(d.call("query", "new:version"), None, lambda: None)
        both = [watch, missing]
        settled = await d.host.queries.settle(both, 0)
        assert isinstance(settled.results[1].outcome, Failure)
        before = d.store.visible_ts
        release = held(d, monkeypatch)
        deploying = asyncio.create_task(d.deploy(lib=version(2), new=version(2)))
        await until(lambda: d.store.visible_ts > before)
        finished: list[bool] = []
        ended = d.pools[0]._from_isolate

        def count(isolate: Any, body: bytes) -> None:
            finished.append(True)
            ended(isolate, body)

        monkeypatch.setattr(d.pools[0], "_from_isolate", count)
        calls = [
            asyncio.create_task(each)
            for each in (
                d.query("lib:version"),
                d.mutation("lib:record"),
                d.query("new:version"),
                d.host.queries.settle(both, 0),
            )
        ]
        await until(lambda: len(finished) >= 4)
        assert not any(call.done() for call in calls)
        release.set()
        await deploying
        asked, wrote, added, settled = await asyncio.gather(*calls)
        assert (value(asked), value(wrote), value(added)) == (2, 2, 2)
        assert [value(result.outcome) for result in settled.results] == [2, 2]
        assert value(await d.query("lib:runs")) == [2.0]
        for each in both:
            each.close()

    deployed(scenario)


def test_a_swap_that_never_comes_is_given_up(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_force, "SWAP_LIMIT_S", 0.05)

    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=version(1))
        before = d.store.visible_ts
        release = held(d, monkeypatch)
        deploying = asyncio.create_task(d.deploy(lib=version(2)))
        await until(lambda: d.store.visible_ts > before)
        for call in (d.query("lib:version"), d.mutation("lib:record")):
            with pytest.raises(HostError) as caught:
                await call
            assert (caught.value.status, caught.value.code) == (503, "DeployInProgress")
        release.set()
        await deploying
        assert value(await d.query("lib:version")) == 2

    deployed(scenario)


def test_a_restart_runs_what_was_stored(tmp_path: Path) -> None:
    async def main() -> list[int]:
        pids: list[int] = []
        async with asyncio.timeout(DEADLINE_S):
            async with Deployment(tmp_path) as d:
                assert d.deployer.stored() is None
                await d.deploy(lib=version(1), a__b=version(3), gone="x = 1")
                await d.deploy(lib=version(2), a__b=version(3))
                await d.mutation("lib:record")
                pids += d.pools[1].pids
            async with Deployment(tmp_path) as d:
                stored = d.deployer.stored()
                assert stored is not None
                assert (sorted(stored[0]), stored[1]) == (["a/b.py", "lib.py"], tmp_path / "convex")
                await d.deployer.deploy(*stored)
                assert value(await d.query("lib:version")) == 2
                assert value(await d.query("a/b:version")) == 3
                assert value(await d.query("lib:runs")) == [2.0]
                pids += d.pools[0].pids
        return pids

    gone(asyncio.run(main()))


def test_a_lost_template_is_started_again(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=version(1))
        os.kill(d.pools[0].pids[0], signal.SIGKILL)
        await until(lambda: len(d.pools) == 2 and d.deployer._pool is d.pools[1])
        assert value(await d.query("lib:version")) == 1

    deployed(scenario)


def test_deploys_go_one_at_a_time(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await asyncio.gather(*(d.deploy(lib=version(n)) for n in (1, 2, 3)))
        assert value(await d.query("lib:version")) == 3
        await until(lambda: not d.deployer._background)

    deployed(scenario)


def test_tables_indexes_and_components_follow_the_app(deployed: Deployed) -> None:
    config = """
    from pyconvex import define_app, define_component
    app = define_app()
    {use}
    """
    component = "app.use(define_component('mail', functions='sample_component.functions'))"
    schema = """
    from pyconvex import *
    class User(Document, table="users", indexes={indexes}):
        email: str

    @mutation
    async def add(ctx: MutationCtx, email: str) -> None:
        await ctx.db.insert(User(email=email))

    @query
    async def find(ctx: QueryCtx, email: str) -> list[str]:
        found = ctx.db.query(User).with_index("by_email", email=email)
        return [user.email for user in await found.collect()]
    """

    async def scenario(d: Deployment) -> None:
        await d.deploy(
            lib=schema.replace("{indexes}", "{}"), convex_config=config.replace("{use}", "")
        )
        await d.mutation("lib:add", {"email": "a@b"})
        missing = await d.query("lib:find", {"email": "a@b"})
        assert "Index users.by_email not found." in missing.message
        spec = await d.deploy(
            lib=schema.replace("{indexes}", "{'by_email': ['email']}"),
            convex_config=config.replace("{use}", component),
        )
        assert [c.path for c in spec.components] == ["", "mail"]
        assert value(await d.query("lib:find", {"email": "a@b"})) == ["a@b"], (
            "filled with what was there"
        )
        await d.deploy(
            lib=schema.replace("{indexes}", "{}"), convex_config=config.replace("{use}", "")
        )
        rows = d.system.read(lambda tx: tx.namespace("mail").component_version())
        assert rows is None

    deployed(scenario)
