"""`pyconvex delete-table`: a table that no code declares goes, with all its documents."""

from __future__ import annotations

import click

from pyconvex.cli.deployment import Deployment, deployment_options


@click.command()
@click.argument("table")
@click.option("--component", default="", help="Path of the component whose table is meant.")
@click.option("--yes", is_flag=True, help="Don't ask for the table's name once more.")
@deployment_options
def delete_table(
    table: str, component: str, yes: bool, url: str | None, admin_key: str | None
) -> None:
    """Delete TABLE with all its documents, for good.

    Tables that the deployed app declares stay: take them out of the code and deploy first.
    """
    deployment = Deployment.find(url, admin_key)
    if not yes:
        click.echo(f"This deletes every document of '{table}' at {deployment.url}, for good.")
        typed = click.prompt("Type the table's name to go on", default="", show_default=False)
        if typed != table:
            raise click.ClickException("That is not its name. Nothing was deleted.")
    deployment.post("/api/delete_tables", {"tableNames": [table], "component": component})
    click.echo(f"Deleted '{table}'.")
