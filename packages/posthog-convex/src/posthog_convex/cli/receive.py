"""`posthog-convex receive`: a receiver of Convex's webhook, until told to stop.

Owns the command and what it says at the start. Secrets come from the environment alone: what is
typed on a command line is seen by every user of the machine.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8020, show_default=True, help="0 takes a free port.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that keeps what PostHog has not taken yet.  [default: .posthog-convex-receive]",
)
@click.option("--service-name", help="What PostHog Logs lists the lines under.")
@click.option("--no-logs", is_flag=True, help="Forward errors only.")
@click.option("--no-errors", is_flag=True, help="Forward log lines only.")
@click.option(
    "--replay-window-s",
    type=click.FloatRange(min=0),
    help="Refuse batches whose newest event is older; 0 refuses none.  [default: 86400]",
)
@click.option(
    "--max-spool-mb", type=click.IntRange(min=1), help="Bound of the folder.  [default: 1000]"
)
@click.option(
    "--sample-rate", type=click.FloatRange(0, 1), help="Share of errors to send.  [default: 1]"
)
@click.option(
    "--errors-per-minute", type=click.IntRange(min=1), help="Errors of one kind a minute."
)
def receive(
    host: str,
    port: int,
    data: Path | None,
    service_name: str | None,
    no_logs: bool,
    no_errors: bool,
    replay_window_s: float | None,
    max_spool_mb: int | None,
    sample_rate: float | None,
    errors_per_minute: int | None,
) -> None:
    """Receive a Convex deployment's webhook log stream and forward it to PostHog.

    CONVEX_WEBHOOK_SECRET, POSTHOG_PROJECT_TOKEN and, outside the US cloud, POSTHOG_HOST come from
    the environment. Options win over the variables POSTHOG_RECEIVE_…
    """
    from posthog_convex.receive.serving import CannotStart, serve
    from posthog_convex.receive.settings import PREFIX, Settings, SettingsError

    chosen = {
        "DATA": data,
        "SERVICE_NAME": service_name,
        "LOGS": "0" if no_logs else None,
        "ERRORS": "0" if no_errors else None,
        "REPLAY_WINDOW_S": replay_window_s,
        "MAX_SPOOL_MB": max_spool_mb,
        "SAMPLE_RATE": sample_rate,
        "ERRORS_PER_MINUTE": errors_per_minute,
    }
    given = {f"{PREFIX}{name}": str(value) for name, value in chosen.items() if value is not None}
    try:
        settings = Settings.of({**os.environ, **given})
        serve(settings, host, port, say=click.echo)
    except (SettingsError, CannotStart) as error:
        click.echo(f"posthog-convex receive: {error}.", err=True)
        sys.exit(1)
