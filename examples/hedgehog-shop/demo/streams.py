"""The host's log streams to PostHog: what functions print and raise, without code.

Owns setting both up, as a form of the dashboard would. Never sends a line. One invariant: a stream
that does not work ends the demo with the host's own reason.
"""

from __future__ import annotations

import time
from typing import Any

import click

from demo.failure import DemoError
from demo.host import Host
from demo.processes import PATIENCE_S
from demo.receiver import Receiver
from pyconvex.cli.deployment import Deployment

#: What PostHog lists the functions' lines under.
SERVICE = "hedgehog-shop"
#: Between two looks whether a stream was verified, in seconds.
_PAUSE_S = 0.1


def set_up(host: Host, receiver: Receiver) -> None:
    """Both streams, verified; those of an earlier run of the same data are kept."""
    deployment = Deployment(host.url, host.admin_key)
    where = {"apiKey": receiver.token, "host": receiver.host}
    kinds: dict[str, dict[str, Any]] = {
        # Of executions too there would be a line for every click.
        "postHogLogs": {"serviceName": SERVICE, "topics": ["console"]},
        "postHogErrorTracking": {},
    }
    try:
        there = deployment.get("/api/v1/list_log_streams")
        known = {one["logStreamType"]: one["id"] for one in there}
        for kind, more in kinds.items():
            settings = {"logStreamType": kind, **where, **more}
            if kind in known:
                deployment.post(f"/api/v1/update_log_stream/{known[kind]}", settings)
                _until_active(deployment, kind, known[kind])
            else:
                made = deployment.post("/api/v1/create_log_stream", settings)
                _until_active(deployment, kind, made["id"])
    except click.ClickException as error:
        raise DemoError(f"The host did not take its log streams: {error.message}") from error


def _until_active(deployment: Deployment, kind: str, id_: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        status = deployment.get(f"/api/v1/get_log_stream/{id_}")["status"]
        if status["type"] == "active":
            return
        if status["type"] == "failed" or time.monotonic() > deadline:
            reason = status.get("reason") or f"it is {status['type']}"
            raise DemoError(f"The log stream {kind} does not work: {reason}")
        time.sleep(_PAUSE_S)
