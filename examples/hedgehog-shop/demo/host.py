"""The host that runs the shop's functions: `pyconvex dev` as a child, and what the demo asks of it.

Owns starting it, its variables and its stock. Never talks to PostHog. One invariant: when `hosting`
gives a host, the shop is deployed and has something to sell.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from demo import ports
from demo.failure import DemoError
from demo.options import HOST_PORT, Options
from demo.processes import PATIENCE_S, JsonLines, Line, running, tool
from demo.receiver import Receiver
from pyconvex.cli import env_local
from pyconvex.cli.deployment import Deployment

SHOP = Path(__file__).resolve().parents[1]
#: How long no event must have waited for all to count as sent, and between two looks, in seconds.
_CALM_S, _PAUSE_S = 4.0, 0.5


@dataclass(frozen=True)
class Host:
    """A host with the shop on it."""

    url: str
    admin_key: str
    #: How many functions are deployed.
    functions: int
    #: In here `pyconvex` finds the deployment.
    folder: Path
    process: JsonLines

    def run(self, function: str, **arguments: Any) -> Any:
        """Call a function of any kind, internal ones too, as `pyconvex run` does."""
        return _run(Deployment(self.url, self.admin_key), function, arguments)

    def all_sent(self) -> None:
        """Wait until events that functions captured have left for PostHog; it counts as such when
        none has waited for a while, because the count is a few seconds old.
        """
        deployment = Deployment(self.url, self.admin_key)
        deadline, calm_since = time.monotonic() + PATIENCE_S, time.monotonic()
        while time.monotonic() - calm_since < _CALM_S:
            status = _run(deployment, "poll:status", {}, component="posthog")
            if status["queued"] or not status["sent"]:
                calm_since = time.monotonic()
            if time.monotonic() > deadline:
                reason = status["delivery_error"] or "no reason is known"
                raise DemoError(f"{status['queued']:.0f} events were not sent: {reason}.")
            time.sleep(_PAUSE_S)

    def sign_in_link(self) -> str:
        """A link that signs in to the dashboard, once."""
        found = Deployment(self.url, self.admin_key).post("/api/pyconvex/sign_in_link", {})
        return str(found["url"])


@contextmanager
def hosting(options: Options, receiver: Receiver, folder: Path) -> Iterator[Host]:
    """The host, for as long as the block lasts."""
    port = ports.choose("--host-port", options.host_port, HOST_PORT, pair=True)
    data = folder / "pyconvex" if options.data is None else options.data / "pyconvex"
    watch = "--no-watch" if options.script else "--watch"
    command = tool(
        "pyconvex", "dev", "--json", "--end-with-stdin", "--port", str(port), "--data", str(data),
        watch, "--functions", str(SHOP / "convex"),
    )  # fmt: skip
    with running("The host", command, folder) as process:
        url = str(process.expect("its address", lambda line: "url" in line)["url"])
        key = env_local.read(folder)[env_local.KEY_VARIABLE]
        deployment = Deployment(url, key)
        told = _set_variables(deployment, receiver)
        deployed = process.expect("the deployed shop", partial(_is_deployed, told))
        _run(deployment, "products:stock", {})
        yield Host(url, key, int(deployed["deployed"]), folder, process)


def _is_deployed(told: Collection[str], line: Line) -> bool:
    """Whether the host says so; a problem that no variable of `told` solves ends the wait."""
    if "problem" in line and not set(line.get("waits_for") or [""]) <= set(told):
        raise DemoError("The shop could not be deployed.")  # what the host said follows
    return "deployed" in line


def _set_variables(deployment: Deployment, receiver: Receiver) -> list[str]:
    """What a person would do with `pyconvex env set`, in one request; the names that are set."""
    variables = {
        "POSTHOG_PROJECT_TOKEN": receiver.token,
        "POSTHOG_HOST": receiver.host,
        "POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS": str(receiver.refresh_s),
        "POSTHOG_PERSONAL_API_KEY": receiver.flags_key,  # None removes it
    }
    changes = [{"name": name, "value": value} for name, value in variables.items()]
    try:
        deployment.post("/api/update_environment_variables", {"changes": changes})
    except click.ClickException as error:
        raise DemoError(f"The host did not take its variables: {error.message}") from error
    return [name for name, value in variables.items() if value is not None]


def _run(
    deployment: Deployment, function: str, arguments: dict[str, Any], *, component: str = ""
) -> Any:
    try:
        answer = deployment.call(function, arguments, component)
    except click.ClickException as error:
        raise DemoError(error.message) from error
    if answer["status"] != "success":
        raise DemoError(f"{function} failed: {answer['errorMessage']}")
    return answer["value"]
