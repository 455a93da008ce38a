"""Developing: the functions folder is deployed again whenever it changes.

Owns what a `dev` watches: the folder, the variables, the data folder. Never holds server logic. One
invariant: a mistake in the app ends nothing: it is shown, and the next save or variable tries
again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

import watchfiles

from pyconvex.cli.frontend import Frontend
from pyconvex.cli.process import DataGoneError
from pyconvex.cli.report import Report, contents
from pyconvex.database import DatabaseError
from pyconvex.runtime.app.loader import SourceError
from pyconvex.runtime.calls import HostError
from pyconvex.runtime.deploys.deploy import OutdatedError
from pyconvex.runtime.isolates.template_process import AppLoadError
from pyconvex.runtime.settings.environment import MissingVariablesError
from pyconvex.server import Server

#: Why an app can't be put into force, but for variables that it waits for.
_REFUSED = (SourceError, AppLoadError, DatabaseError, HostError)
#: Between two looks whether the data folder is still there.
_LOOK_S = 1.0


async def develop(server: Server, folder: Path, frontend: Frontend, report: Report) -> None:
    """Deploy now, and again whenever a file or, after a missing one, a variable changes."""
    saved = asyncio.Event()
    watching: set[asyncio.Task[Any]] = set()
    if server.settings.watch:
        watching.add(asyncio.create_task(_watch(folder, saved)))
        await asyncio.sleep(0)  # the watch begins: what is saved during a deploy is not missed
    waiting: set[asyncio.Task[Any]] = set()
    missing: list[str] = []
    try:
        while True:
            saved.clear()
            missing = await _deploy(server, folder, frontend, report, saved, missing)
            waiting = {asyncio.create_task(saved.wait())} if watching else set()
            if missing:
                waiting.add(asyncio.create_task(server.environment_change()))
            if not waiting:
                return
            await asyncio.wait(watching | waiting, return_when=asyncio.FIRST_COMPLETED)
            await cancel(waiting)
            for task in watching:
                if task.done():
                    task.result()  # raises: files can't be watched here
    finally:
        await cancel(watching | waiting)


async def _deploy(
    server: Server,
    folder: Path,
    frontend: Frontend,
    report: Report,
    saved: asyncio.Event,
    told: list[str],
) -> list[str]:
    """Deploy once; the variables that it waits for, which `told` names if they were shown before.

    Where `saved` is set meanwhile, an import that hangs is ended.
    """
    began = time.perf_counter()
    try:
        spec = await server.deploy(folder, outdated=saved)
    except OutdatedError:
        report.say("Saved during an import that had not ended: it begins anew.", anew=True)
        return told
    except MissingVariablesError as missing:
        if missing.names != told:
            them = "it" if len(missing.names) == 1 else "them"
            text = f"{missing}\nThe app is deployed as soon as you have set {them}."
            report.problem(text, waits_for=missing.names)
        await _run_what_was_deployed(server, report)
        return missing.names
    except _REFUSED as error:
        report.problem(f"Not deployed: {error}")
        await _run_what_was_deployed(server, report)
        return []
    if (untold := frontend.describe(spec)) is not None:
        report.problem(untold)
    seconds = time.perf_counter() - began
    count = len(spec.root.functions)
    report.say(f"Deployed {contents(spec)} in {seconds:.2f} s", deployed=count, seconds=seconds)
    if not count and spec.root.http is None:
        report.say(f"Nothing in {folder} has @query, @mutation or @action over it.", functions=0)
    return []


async def _run_what_was_deployed(server: Server, report: Report) -> None:
    """A start whose first deploy fails still serves what an earlier one has deployed."""
    if server.has_app:
        return
    with contextlib.suppress(MissingVariablesError, *_REFUSED):
        if (spec := await server.redeploy()) is not None:
            report.say(f"What was deployed last goes on: {contents(spec)}.", still_deployed=True)


async def _watch(folder: Path, saved: asyncio.Event) -> None:
    async for _ in watchfiles.awatch(folder, watch_filter=watchfiles.PythonFilter()):
        saved.set()


async def share_variables(server: Server, frontend: Frontend) -> None:
    """Keep the frontend's copy of public variables as the deployment has them."""
    changed = server.watch_variables()
    while True:
        changed.clear()
        frontend.share(server.variables())
        await changed.wait()


async def watch_data(folder: Path) -> None:
    """Notice that somebody has deleted or moved the data folder, to begin anew perhaps."""
    before = _which(folder)
    while True:
        await asyncio.sleep(_LOOK_S)
        if _which(folder) != before:
            raise DataGoneError(
                f"The data folder {folder} was deleted or moved, so this deployment has ended. "
                "What stood in it is where the folder is now, if anywhere. Start again: `pyconvex "
                "dev` makes a new folder when there is none."
            )


def _which(folder: Path) -> tuple[int, int] | None:
    """Tells a folder from another at the same place; None where there is none."""
    try:
        found = folder.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


async def cancel(tasks: set[asyncio.Task[Any]]) -> None:
    """End these tasks, however they end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
