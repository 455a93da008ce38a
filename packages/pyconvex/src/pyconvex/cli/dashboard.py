"""`pyconvex dashboard`: a link that signs in to the deployment's dashboard."""

from __future__ import annotations

import webbrowser

import click

from pyconvex.cli.deployment import Deployment, deployment_options


@click.command()
@click.option("--open", "open_it", is_flag=True, help="Open it in the browser, too.")
@deployment_options
def dashboard(open_it: bool, url: str | None, admin_key: str | None) -> None:
    """Print a link that signs in to the dashboard of the deployment.

    The link works once, and for ten minutes: whoever opens it first is signed in for twelve hours.
    """
    answer = Deployment.find(url, admin_key).post("/api/pyconvex/sign_in_link", {})
    click.echo(answer["url"])
    minutes = answer["expiresInSeconds"] // 60
    click.echo(f"It works once, within {minutes} minutes.", err=True)
    if open_it and not webbrowser.open(answer["url"]):
        click.echo("No browser could be opened here: open the link yourself.", err=True)
