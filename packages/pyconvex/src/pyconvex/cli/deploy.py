"""`pyconvex deploy`: put a functions folder into force on a running server."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from pyconvex.cli.counted import counted
from pyconvex.cli.deployment import Deployment, deployment_options
from pyconvex.runtime.app.loader import SourceError, read_sources

#: A deploy fills new indexes of all documents, and checks them, before it answers.
_TIMEOUT_S = 3600.0


@click.command()
@click.option(
    "--functions",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("convex"),
    show_default=True,
    help="The functions folder.",
)
@deployment_options
def deploy(functions: Path, url: str | None, admin_key: str | None) -> None:
    """Upload the functions folder to a running server and put it into force there.

    Source alone is uploaded: packages that it imports must be installed where the server runs. All
    of it comes into force at once, or nothing; the app that was there goes on until then.
    """
    deployment = Deployment.find(url, admin_key)
    try:
        sources = read_sources(functions)
    except SourceError as error:
        raise click.ClickException(str(error)) from None
    kilobytes = sum(len(text.encode()) for text in sources.values()) / 1024
    files = counted(len(sources), "file")
    began = time.monotonic()
    with _progress(f"Deploying {files} ({kilobytes:.0f} kB) to {deployment.url}"):
        body = {"sources": sources, "folder": functions.name}
        answer = deployment.post("/api/pyconvex/deploy", body, timeout_s=_TIMEOUT_S)
    seconds = time.monotonic() - began
    count = answer["functions"]
    click.echo(f"Deployed {counted(count, 'function')} to {deployment.url} in {seconds:.1f} s.")


@contextmanager
def _progress(doing: str) -> Iterator[None]:
    """Say what is done, and to people how long it has taken."""
    if not sys.stderr.isatty():
        click.echo(f"{doing} …", err=True)
        yield
        return
    done = threading.Event()

    def tell() -> None:
        began = time.monotonic()
        while not done.wait(0.2):
            click.echo(f"\r{doing} … {time.monotonic() - began:.0f} s", err=True, nl=False)
        click.echo("\r\033[K", err=True, nl=False)

    telling = threading.Thread(target=tell)
    telling.start()
    try:
        yield
    finally:
        done.set()
        telling.join()
