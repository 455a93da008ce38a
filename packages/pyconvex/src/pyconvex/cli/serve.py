"""`pyconvex dev` and `pyconvex start`: run a deployment until told to stop.

Owns what a developer sees while it runs. Never holds server logic. One invariant: a mistake in the
app ends no `dev`: it is shown, and the next save or variable tries again.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import watchfiles

from pyconvex.cli.frontend import Frontend
from pyconvex.cli.logs import shown
from pyconvex.dashboard import LINK_LIFE_S
from pyconvex.database import DatabaseError
from pyconvex.http.function_logs import execution
from pyconvex.runlog.recent import RecentRuns
from pyconvex.runtime.app.loader import SourceError, check_folder
from pyconvex.runtime.app.spec import AppSpec
from pyconvex.runtime.calls import HostError
from pyconvex.runtime.isolates.template_process import AppLoadError
from pyconvex.runtime.settings.environment import MissingVariablesError
from pyconvex.server import DEFAULT_PORT, PortTakenError, Server, Settings
from pyconvex.server.keys import key_file
from pyconvex.storage import FolderRefused

#: Thousands of connections are very many objects that live long, and Python's default of 700 new
#: ones looks at them again and again: half of the server's time with 2,000 subscribers. What this
#: lets pile up in between is a few megabytes.
GC_THRESHOLDS = (50_000, 50, 1_000)
#: Between two looks whether the data folder is still there.
_LOOK_S = 1.0
#: Between two looks at what functions told, when nothing wakes who looks.
_LONG_S = 3600.0

_FOLDER = click.Path(path_type=Path, file_okay=False)
_PORT = click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port; 0 takes a free one.",
)
_ISOLATES = click.option(
    "--isolates",
    type=click.IntRange(min=0),
    default=2,
    show_default=True,
    help="Isolates kept ready; 0 runs functions in the server's process, for debuggers.",
)


_SITE_PORT = click.option(
    "--site-port",
    type=int,
    default=None,
    help="Port of HTTP actions; 0 takes a free one. [default: the one after --port]",
)


@click.command()
@click.option(
    "--functions",
    type=_FOLDER,
    default=Path("convex"),
    show_default=True,
    help="The functions folder.",
)
@click.option(
    "--data",
    type=_FOLDER,
    default=Path(".pyconvex"),
    show_default=True,
    help="Where documents and queues are kept.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@_PORT
@_SITE_PORT
@_ISOLATES
@click.option("--fresh", is_flag=True, help="Run every call in a process in which nothing ran yet.")
@click.option("--watch/--no-watch", default=True, help="Deploy again when a file changes.")
@click.option(
    "--codegen/--no-codegen",
    "types",
    default=True,
    help="Write TypeScript types into _generated at every deploy.",
)
@click.option("--json", "as_json", is_flag=True, help="Tell what happens as JSON lines.")
@click.option(
    "--end-with-stdin",
    is_flag=True,
    help="End when standard input does: for a program that starts this, and may be killed.",
)
def dev(
    functions: Path,
    data: Path,
    host: str,
    port: int,
    site_port: int | None,
    isolates: int,
    fresh: bool,
    watch: bool,
    types: bool,
    as_json: bool,
    end_with_stdin: bool,
) -> None:
    """Run the functions folder and deploy it again when it changes.

    Shows what functions print and how they fail. Writes into .env.local where the deployment is,
    for the frontend and for other commands, and those of the deployment's variables that begin with
    VITE_ or NEXT_PUBLIC_.
    """
    if fresh and isolates == 0:
        raise click.UsageError("--fresh needs processes: leave out --isolates 0.")
    settings = Settings(
        functions=functions,
        data=data,
        host=host,
        port=port,
        site_port=site_port,
        isolates=isolates,
        fresh=fresh,
        watch=watch,
        deployment_type="dev",
    )
    if end_with_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    _run(_dev(settings, Report(as_json), types=types))


def _origin(_: click.Context, option: click.Parameter, url: str | None) -> str | None:
    """An address without path, as browsers say where a page is from."""
    parts = urlsplit(url or "")
    fits = parts.scheme in ("http", "https") and parts.netloc and parts.path in ("", "/")
    if url is not None and (not fits or parts.query or parts.fragment):
        raise click.BadParameter("must be an address such as https://api.example.com, no path.")
    return None if url is None else url.rstrip("/")


@click.command()
@click.option(
    "--data",
    type=_FOLDER,
    default=Path(".pyconvex"),
    show_default=True,
    help="Where documents and queues are kept.",
)
@click.option(
    "--functions",
    type=_FOLDER,
    default=None,
    help="Deploy this folder first; without it, what was deployed last runs.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@_PORT
@_SITE_PORT
@click.option(
    "--cloud-origin",
    callback=_origin,
    default=None,
    metavar="URL",
    help="Where clients reach it, if a proxy is before it: what CONVEX_CLOUD_URL says.",
)
@click.option(
    "--site-origin",
    callback=_origin,
    default=None,
    metavar="URL",
    help="The same for its HTTP actions, and the issuer of its tokens: CONVEX_SITE_URL.",
)
@_ISOLATES
@click.option(
    "--redact-logs-to-client/--no-redact-logs-to-client",
    "redact",
    default=True,
    show_default=True,
    envvar="REDACT_LOGS_TO_CLIENT",
    help="Keep error texts and log lines from clients.",
)
@click.option(
    "--print-events",
    type=click.Choice(["text", "jsonl"]),
    default=None,
    help="Print what functions print and how they ran, as lines or as JSON lines.",
)
@click.option("--json", "as_json", is_flag=True, help="Tell what happens as JSON lines.")
def start(
    data: Path,
    functions: Path | None,
    host: str,
    port: int,
    site_port: int | None,
    cloud_origin: str | None,
    site_origin: str | None,
    isolates: int,
    redact: bool,
    print_events: str | None,
    as_json: bool,
) -> None:
    """Run what was deployed last, and what `pyconvex deploy` brings.

    The first start in a data folder makes the deployment's admin key and says where it is. Clients
    read of an error that there was one, and its request id: `npx convex logs` has the rest.
    """
    settings = Settings(
        data=data,
        functions=functions,
        host=host,
        port=port,
        site_port=site_port,
        cloud_origin=cloud_origin,
        site_origin=site_origin,
        isolates=isolates,
        redact_logs_to_client=redact,
        print_events=print_events,
    )
    _run(_start(settings, Report(as_json)))


class DataGoneError(Exception):
    """The data folder is not where it was."""


class Report:
    """Tells a person, or with JSON lines a program, what happens."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def say(self, text: str, **facts: Any) -> None:
        """One event, with the facts that a program would want."""
        click.echo(json.dumps(facts) if self.as_json else text)
        sys.stdout.flush()

    def problem(self, text: str, **facts: Any) -> None:
        """Something that the developer must mend."""
        click.secho(text, fg="red", err=True)
        if self.as_json:  # last: who reads it may end this process
            click.echo(json.dumps({"problem": text, **facts}))
            sys.stdout.flush()


def _run(main: Any) -> None:
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.INFO)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # tells every save
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # tells every request
    gc.set_threshold(*GC_THRESHOLDS)
    gc.freeze()  # what imports made for good
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(main)
    except (FolderRefused, PortTakenError, SourceError, AppLoadError, DatabaseError,
            MissingVariablesError, DataGoneError) as error:  # fmt: skip
        raise click.ClickException(str(error)) from None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's loops where it is installed (not on Windows), the standard ones elsewhere."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _dev(settings: Settings, report: Report, *, types: bool) -> None:
    assert settings.functions is not None
    check_folder(settings.functions)
    stopping = _stop_on_signals()
    frontend = Frontend(Path.cwd(), settings.functions, types=types)
    async with Server(settings) as server:
        frontend.reach(server.url, server.site_url, server.admin_key)
        report.say(
            f"Serving {settings.functions} at {server.url}, HTTP actions at {server.site_url}",
            url=server.url,
            site_url=server.site_url,
        )
        _tell_dashboard(server, report)
        tasks = {
            asyncio.create_task(_develop(server, settings.functions, frontend, report)),
            asyncio.create_task(_share_variables(server, frontend)),
            asyncio.create_task(_show_logs(server.recent_runs, settings, report)),
            asyncio.create_task(_watch_data(settings.data)),
        }
        for task in tasks:
            task.add_done_callback(partial(_stop_if_failed, stopping))
        await stopping.wait()
        report.say("Stopping: requests under way are finished first.", stopping=True)
        failed = [task for task in tasks if task.done()]
        await _cancel(tasks)
        for task in failed:
            task.result()


async def _share_variables(server: Server, frontend: Frontend) -> None:
    """Keep the frontend's copy of public variables as the deployment has them."""
    changed = server.watch_variables()
    while True:
        changed.clear()
        frontend.share(server.variables())
        await changed.wait()


async def _watch_data(folder: Path) -> None:
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


async def _show_logs(runs: RecentRuns, settings: Settings, report: Report) -> None:
    """Show what functions print and how they fail, to a person; programs follow it themselves."""
    cursor = runs.cursor
    while not (runs.closed or report.as_json):
        await runs.wait(cursor, _LONG_S)
        records, cursor = runs.after(cursor), runs.cursor
        for record in records:
            entry = execution(record, structured=False)
            if settings.isolates == 0:
                entry["logLines"] = ()  # in this process they are shown as they are printed
            for line in shown(entry, success=False):
                click.echo(line, err=True)


def _stop_if_failed(stopping: asyncio.Event, task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        stopping.set()


async def _develop(server: Server, folder: Path, frontend: Frontend, report: Report) -> None:
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
            missing = await _deploy(server, folder, frontend, report, told=missing)
            waiting = {asyncio.create_task(saved.wait())} if watching else set()
            if missing:
                waiting.add(asyncio.create_task(server.environment_change()))
            if not waiting:
                return
            await asyncio.wait(watching | waiting, return_when=asyncio.FIRST_COMPLETED)
            await _cancel(waiting)
            for task in watching:
                if task.done():
                    task.result()  # raises: files can't be watched here
    finally:
        await _cancel(watching | waiting)


async def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _deploy(
    server: Server, folder: Path, frontend: Frontend, report: Report, *, told: list[str]
) -> list[str]:
    """Deploy once; the variables that it waits for, which `told` names if they were shown
    before.
    """
    began = time.perf_counter()
    try:
        spec = await server.deploy(folder)
    except MissingVariablesError as missing:
        if missing.names != told:
            them = "it" if len(missing.names) == 1 else "them"
            text = f"{missing}\nThe app is deployed as soon as you have set {them}."
            report.problem(text, waits_for=missing.names)
        return missing.names
    except (SourceError, AppLoadError, DatabaseError, HostError) as error:
        report.problem(f"Not deployed: {error}")
        return []
    if (untold := frontend.describe(spec)) is not None:
        report.problem(untold)
    seconds = time.perf_counter() - began
    count = len(spec.root.functions)
    report.say(f"Deployed {_contents(spec)} in {seconds:.2f} s", deployed=count, seconds=seconds)
    return []


async def _watch(folder: Path, saved: asyncio.Event) -> None:
    async for _ in watchfiles.awatch(folder, watch_filter=watchfiles.PythonFilter()):
        saved.set()


async def _start(settings: Settings, report: Report) -> None:
    stopping = _stop_on_signals()
    new = not key_file(settings.data).exists()
    async with Server(settings) as server:
        if new:
            _tell_key(server, report)
        if settings.functions is not None:
            spec: AppSpec | None = await server.deploy(settings.functions)
        else:
            spec = await server.redeploy()
        if spec is None:
            report.say(
                f"Serving at {server.url}. Nothing is deployed yet: `pyconvex deploy` does that.",
                url=server.url,
                site_url=server.site_url,
                deployed=0,
            )
        else:
            count = len(spec.root.functions)
            report.say(
                f"Serving {_contents(spec)} at {server.url}, HTTP actions at {server.site_url}",
                url=server.url,
                site_url=server.site_url,
                deployed=count,
            )
        await stopping.wait()
        report.say("Stopping: requests under way are finished first.", stopping=True)


def _tell_key(server: Server, report: Report) -> None:
    """Say the new deployment's key, once, to a person; what is piped may be kept by anybody."""
    file = key_file(server.settings.data)
    if sys.stdout.isatty():
        report.say(
            f"Admin key, shown this once and kept in {file}:\n  {server.admin_key}",
            key_file=str(file),
        )
    else:
        report.say(f"The admin key is in {file}.", key_file=str(file))


def _tell_dashboard(server: Server, report: Report) -> None:
    """Say how to get to the dashboard; only a person at a terminal is shown a link that lets in."""
    if report.as_json:
        return
    if sys.stdout.isatty():
        minutes = LINK_LIFE_S / 60
        report.say(
            f"Dashboard: {server.sign_in_link()}\n  That works once, within {minutes:.0f} minutes; "
            "`pyconvex dashboard` gives another link."
        )
    else:
        report.say("Dashboard: `pyconvex dashboard` gives a link that signs you in.")


def _contents(spec: AppSpec) -> str:
    """What an app has, as a person counts it."""
    functions = len(spec.root.functions)
    routes = len(spec.root.http.routes) if spec.root.http is not None else 0
    text = "1 function" if functions == 1 else f"{functions} functions"
    if not routes:
        return text
    return f"{text} and {routes} HTTP {'route' if routes == 1 else 'routes'}"


def _end_with_stdin() -> None:
    """Ask this process to stop, in order, once whoever holds the other end of its input is gone."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    with open(os.devnull, "w") as nowhere:  # who would have read what it says is gone as well
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    os.kill(os.getpid(), signal.SIGTERM)


def _stop_on_signals() -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stopping.set)
    return stopping
