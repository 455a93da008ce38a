"""`pyconvex dev` and `pyconvex start`: run a deployment until told to stop.

Owns their options and the order of what happens. Never holds server logic. One invariant: what was
asked for before the end is finished before it.
"""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import click

from pyconvex.cli.developing import cancel, develop, share_variables, watch_data
from pyconvex.cli.frontend import Frontend
from pyconvex.cli.process import STOPPING, follow_stdin, run, stop_on_signals
from pyconvex.cli.report import Report, contents, show_runs, tell_dashboard, tell_key
from pyconvex.runtime.app.loader import check_folder
from pyconvex.runtime.app.spec import AppSpec
from pyconvex.server import DEFAULT_PORT, Server, Settings
from pyconvex.server.keys import key_file

_FOLDER = click.Path(path_type=Path, file_okay=False)
_DATA = click.option(
    "--data",
    type=_FOLDER,
    default=Path(".pyconvex"),
    show_default=True,
    help="Where documents and queues are kept.",
)
_HOST = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
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
_COMPANIONS = click.option(
    "--companions/--no-companions",
    default=True,
    show_default=True,
    help="Run what installed packages offer to run beside the host, where this folder sets it up.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Tell what happens as JSON lines.")


@click.command()
@click.option(
    "--functions",
    type=_FOLDER,
    default=Path("convex"),
    show_default=True,
    help="The functions folder.",
)
@_DATA
@_HOST
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
@_COMPANIONS
@_JSON
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
    companions: bool,
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
        project=Path.cwd() if companions else None,
        deployment_type="dev",
    )
    if end_with_stdin:
        threading.Thread(target=follow_stdin, daemon=True).start()
    run(_dev(settings, Report(as_json), types=types))


async def _dev(settings: Settings, report: Report, *, types: bool) -> None:
    assert settings.functions is not None
    check_folder(settings.functions)
    stopping = stop_on_signals()
    frontend = Frontend(Path.cwd(), settings.functions, types=types)
    async with Server(settings) as server:
        frontend.reach(server.url, server.site_url, server.admin_key)
        report.say(
            f"Serving {settings.functions} at {server.url}, HTTP actions at {server.site_url}",
            url=server.url,
            site_url=server.site_url,
        )
        tell_dashboard(server, report)
        tasks = {
            asyncio.create_task(develop(server, settings.functions, frontend, report)),
            asyncio.create_task(share_variables(server, frontend)),
            asyncio.create_task(watch_data(settings.data)),
        }
        if not report.as_json:  # programs follow them by themselves
            # What runs in this process is shown as it is printed.
            shown = show_runs(server.recent_runs, printed=settings.isolates == 0)
            tasks.add(asyncio.create_task(shown))
        for task in tasks:
            task.add_done_callback(partial(_stop_if_failed, stopping))
        await stopping.wait()
        report.say(STOPPING, stopping=True)
        failed = [task for task in tasks if task.done()]
        await cancel(tasks)
        for task in failed:
            task.result()


def _stop_if_failed(stopping: asyncio.Event, task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        stopping.set()


def _origin(_: click.Context, option: click.Parameter, url: str | None) -> str | None:
    """An address without path, as browsers say where a page is from."""
    parts = urlsplit(url or "")
    fits = parts.scheme in ("http", "https") and parts.netloc and parts.path in ("", "/")
    if url is not None and (not fits or parts.query or parts.fragment):
        raise click.BadParameter("must be an address such as https://api.example.com, no path.")
    return None if url is None else url.rstrip("/")


@click.command()
@_DATA
@click.option(
    "--functions",
    type=_FOLDER,
    default=None,
    help="Deploy this folder first; without it, what was deployed last runs.",
)
@_HOST
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
@_COMPANIONS
@_JSON
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
    companions: bool,
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
        project=Path.cwd() if companions else None,
    )
    run(_start(settings, Report(as_json)))


async def _start(settings: Settings, report: Report) -> None:
    if settings.functions is not None:
        check_folder(settings.functions)
    stopping = stop_on_signals()
    new = not key_file(settings.data).exists()
    async with Server(settings) as server:
        if new:
            tell_key(server, report)
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
                f"Serving {contents(spec)} at {server.url}, HTTP actions at {server.site_url}",
                url=server.url,
                site_url=server.site_url,
                deployed=count,
            )
        await stopping.wait()
        report.say(STOPPING, stopping=True)
