"""The command `posthog-local`.

Owns what people type and read. Never serves by itself: `server` does. A problem that the user can
solve ends with a sentence and status 2, without a traceback.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode

import click
import msgspec

from posthog_local import __version__

_DEFAULT_PORT = 8010
_DEFAULT_DATA = Path(".posthog-local")


@click.group()
@click.version_option(__version__, prog_name="posthog-local")
def main() -> None:
    """A PostHog-compatible server in one process, for development and CI. Not PostHog."""


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=_DEFAULT_PORT, show_default=True, help="0 takes a free port.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=_DEFAULT_DATA,
    show_default=True,
    help="Folder that keeps events, persons, flags and keys.",
)
@click.option("--temp", is_flag=True, help="Keep data in a temporary folder, removed at the end.")
@click.option("--token", help="Project token to show instead of the kept one (phc_…).")
@click.option(
    "--strict-token",
    is_flag=True,
    help="Treat other tokens as PostHog does: capture drops what came with 200, flags answer 401.",
)
@click.option("--secret-key", help="Secret key to use instead of the kept one (phs_…).")
@click.option("--allow-host", multiple=True, help="Another host name of this server. Repeatable.")
@click.option("--allow-remote", is_flag=True, help="Let other machines use pages and control API.")
@click.option(
    "--posthog-js",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A dist folder of posthog-js to serve as /static/ instead of the one that came along.",
)
@click.option(
    "--keep-days",
    type=click.FloatRange(min=0),
    default=90,
    show_default=True,
    help="Drop events, logs and recordings that came earlier; 0 keeps them for ever.",
)
@click.option(
    "--max-mb",
    type=click.IntRange(min=0),
    default=5000,
    show_default=True,
    help="Drop the oldest when the stored data grows beyond; 0 knows no limit.",
)
@click.option(
    "--warehouse",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of Parquet files, a folder a table, for SQL beside events.",
)
@click.option("--json", "as_json", is_flag=True, help="Say what started as one line of JSON.")
@click.option(
    "--end-with-stdin",
    is_flag=True,
    help="End when standard input does: for a program that starts this, and may be killed.",
)
def start(
    host: str,
    port: int,
    data: Path,
    temp: bool,
    token: str | None,
    strict_token: bool,
    secret_key: str | None,
    allow_host: tuple[str, ...],
    allow_remote: bool,
    posthog_js: Path | None,
    keep_days: float,
    max_mb: int,
    warehouse: Path | None,
    as_json: bool,
    end_with_stdin: bool,
) -> None:
    """Start the server and keep it running until Ctrl-C."""
    try:
        from posthog_local.http.server import CannotListen
        from posthog_local.server import Settings, run
        from posthog_local.store.folder import FolderError
        from posthog_local.store.retention import Limits
        from posthog_local.store.schema import UnknownFormat
    except KeyboardInterrupt:  # nothing has begun yet
        sys.exit(130)

    settings = Settings(
        host=host,
        port=port,
        data=None if temp else data,
        project_token=token,
        strict_token=strict_token,
        secret_key=secret_key,
        allowed_hosts=allow_host,
        allow_remote=allow_remote,
        posthog_js=posthog_js,
        limits=Limits(keep_days=keep_days or None, max_bytes=max_mb * 1_000_000 or None),
        warehouse=warehouse,
    )
    if end_with_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        run(settings, _say_json if as_json else _say)
    except (FolderError, UnknownFormat, CannotListen) as error:
        click.echo(f"posthog-local: {error}.", err=True)
        sys.exit(2)


def _end_with_stdin() -> None:
    """Ask this process to stop, in order, once whoever holds the other end of its input is gone."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _say_json(started: object) -> None:
    click.echo(msgspec.json.encode(started).decode())
    sys.stdout.flush()


def _say(started: object) -> None:
    from posthog_local.server import Started

    assert isinstance(started, Started)
    click.echo(
        f"PostHog Local {started.version} is ready at {started.url}\n"
        f"  project token  {started.project_token}\n"
        f"  secret key     {started.secret_key}\n"
        f"  data           {started.data or 'temporary, removed at the end'}\n"
        "Point a host of yours at it, from its folder; the key is for flags:\n"
        f"  pyconvex env set POSTHOG_HOST={started.url}"
        f" POSTHOG_PROJECT_TOKEN={started.project_token}"
        f" POSTHOG_PERSONAL_API_KEY={started.secret_key}\n"
        "Stop with Ctrl-C. Unofficial: not PostHog, and not for production."
    )
    sys.stdout.flush()


_url = click.option(
    "--url",
    default=f"http://127.0.0.1:{_DEFAULT_PORT}",
    show_default=True,
    help="Where the server is.",
)


_NO_EVENTS = (
    "No events to show yet. What a function captures is sent within about a second after it "
    "committed; --follow waits."
)


@main.command()
@click.option("--follow", is_flag=True, help="Keep waiting for new events.")
@click.option("--event", help="Only events of this name.")
@click.option("--distinct-id", help="Only events of the person with this id.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@_url
def events(
    follow: bool, event: str | None, distinct_id: str | None, as_json: bool, url: str
) -> None:
    """Print the stored events, the oldest first."""
    wanted = {"event": event, "distinct_id": distinct_id}
    query = {name: value for name, value in wanted.items() if value is not None}
    try:
        shown = False
        for one in _events(url, query, follow=follow):
            click.echo(json.dumps(one) if as_json else _event_line(one))
            shown = True
        if not shown:
            click.echo(_NO_EVENTS, err=True)
    except KeyboardInterrupt:  # how `--follow` ends
        click.echo(err=True)


def _events(url: str, query: dict[str, str], *, follow: bool) -> Iterator[dict[str, Any]]:
    after = 0
    while True:
        asked = query | {"after": str(after), "wait": "30" if follow else "0"}
        page = _ask(url, "GET", f"/_local/events?{urlencode(asked)}")
        yield from page["events"]
        if page["events"]:
            after = page["events"][-1]["seq"]
        elif not follow:
            return


@main.command()
@click.option("--keep-flags", is_flag=True, help="Leave feature flags and cohorts as they are.")
@click.confirmation_option(prompt="Delete every event and person of this server?")
@_url
def reset(keep_flags: bool, url: str) -> None:
    """Empty the project."""
    _ask(url, "POST", "/_local/reset" + ("?keep_flags=true" if keep_flags else ""))
    click.echo("Empty.")


@main.command()
@click.argument("file", type=click.File("wb", lazy=True), default="-")
@_url
def export(file: IO[bytes], url: str) -> None:
    """Write the whole project to FILE as lines of JSON; to the terminal without one."""
    with _answer(url, "GET", "/_local/export") as answer:
        shutil.copyfileobj(answer, file)


@main.command("import")
@click.argument("file", type=click.File("rb"))
@_url
def load(file: IO[bytes], url: str) -> None:
    """Fill an empty project from a FILE that `export` wrote."""
    with _answer(url, "POST", "/_local/import", file) as answer:
        rows = json.load(answer)["rows"]
        click.echo(f"{rows} {'row' if rows == 1 else 'rows'}.")


def _event_line(event: dict[str, Any]) -> str:
    own = {k: v for k, v in event["properties"].items() if not k.startswith("$")}
    details = json.dumps(own, ensure_ascii=False) if own else ""
    return f"{event['timestamp']}  {event['event']}  {event['distinct_id']}  {details}".rstrip()


def _ask(url: str, method: str, path: str) -> Any:
    with _answer(url, method, path) as answer:
        return json.load(answer)


@contextmanager
def _answer(
    url: str, method: str, path: str, body: IO[bytes] | None = None
) -> Iterator[HTTPResponse]:
    """The server's answer; without a good one the command ends with a sentence."""
    address = url.rstrip("/") + path  # of whoever runs the command, so of any scheme
    request = urllib.request.Request(address, body, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=600) as response:  # noqa: S310
            yield response
    except urllib.error.HTTPError as error:
        with error:
            said = error.read().decode(errors="replace")
        click.echo(f"posthog-local: {_detail(said)}.", err=True)
        sys.exit(2)
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        click.echo(f"posthog-local: no answer from {url}: {why}. Is it running?", err=True)
        sys.exit(2)


def _detail(said: str) -> str:
    try:
        return str(json.loads(said)["detail"])
    except (ValueError, KeyError, TypeError):
        return said
