"""`pyconvex data`: the tables of a deployment, and their documents."""

from __future__ import annotations

import itertools
import shutil
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import click
import msgspec

from pyconvex.cli.deployment import Deployment, deployment_options

#: Documents asked for at once.
_PAGE = 256
#: What always stands first in a table.
_FIRST_COLUMNS = ("_id", "_creationTime")


@click.command()
@click.argument("table", required=False)
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many."
)
@click.option(
    "--order",
    type=click.Choice(["asc", "desc"]),
    default="desc",
    show_default=True,
    help="By creation: the oldest or the newest first.",
)
@click.option("--component", default="", help="Path of the component whose tables are meant.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["pretty", "json", "jsonl"]),
    help="pretty is for people, jsonl one document a line. [default: pretty at a terminal, "
    "else jsonl]",
)
@deployment_options
def data(
    table: str | None,
    limit: int,
    order: str,
    component: str,
    form: str | None,
    url: str | None,
    admin_key: str | None,
) -> None:
    """Print the documents of TABLE; without one, the names of all tables."""
    deployment = Deployment.find(url, admin_key)
    if table is None:
        for name in _tables(deployment, component):
            click.echo(name)
        return
    if not table.startswith("_") and table not in (known := _tables(deployment, component)):
        raise click.ClickException(
            f"There is no table '{table}'. Tables that are there: {', '.join(known) or 'none'}."
        )
    documents = itertools.islice(_documents(deployment, table, order, limit, component), limit)
    _print(documents, form or ("pretty" if sys.stdout.isatty() else "jsonl"))


def _tables(deployment: Deployment, component: str) -> list[str]:
    arguments = {"paginationOpts": {"cursor": None, "numItems": _PAGE}}
    page = deployment.ask("cli/tables", arguments, component)["page"]
    return [table["name"] for table in page]


def _documents(
    deployment: Deployment, table: str, order: str, limit: int, component: str
) -> Iterator[dict[str, Any]]:
    cursor = None
    while True:
        options = {"cursor": cursor, "numItems": min(limit, _PAGE)}
        arguments = {"table": table, "order": order, "paginationOpts": options}
        page = deployment.ask("cli/tableData", arguments, component)
        yield from page["page"]
        if page["isDone"]:
            return
        cursor = page["continueCursor"]


def _print(documents: Iterable[dict[str, Any]], form: str) -> None:
    if form == "jsonl":
        for document in documents:
            click.echo(msgspec.json.encode(document).decode())
    elif form == "json":
        encoded = msgspec.json.encode(list(documents))
        click.echo(msgspec.json.format(encoded, indent=2).decode())
    else:
        _print_table(list(documents))


def _print_table(documents: list[dict[str, Any]]) -> None:
    if not documents:
        click.echo("There are no documents in this table.", err=True)
        return
    names = sorted({name for document in documents for name in document} - set(_FIRST_COLUMNS))
    columns = [*_FIRST_COLUMNS, *names]
    rows = [[_cell(document.get(column)) for column in columns] for document in documents]
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for row in (columns, ["-" * width for width in widths], *rows):
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        click.echo(line.rstrip()[:room])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
