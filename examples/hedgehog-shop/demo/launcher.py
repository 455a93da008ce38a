"""`./run demo`: starts PostHog Local and the shop's host, and lets a visitor use the shop.

Owns the order in which things start, and what is printed. Every step of the visit is checked: one
that fails ends the demo with a sentence and exit status 1.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from rich.console import Console

from demo import seeds, timeline
from demo.failure import DemoError
from demo.processes import JsonLines, node, running, say_to, tool
from demo.steps import STEPS
from demo.visit import Visit
from posthog_local.testing import PostHogLocal, ServerDidNotStart
from posthog_local.testing import running as posthog_local
from pyconvex.cli import env_local

SHOP = Path(__file__).resolve().parents[1]
#: How often the demo's host asks for changed flags, in seconds; production's default is 60.
REFRESH_S = 2
#: How long what the visit left may take to arrive, in seconds.
ARRIVAL_S = 30.0


def main(arguments: Sequence[str]) -> int:
    """Run the demo; 0 when every step did what it should."""
    console = Console(highlight=False)
    if "--script" not in arguments:
        console.print("Only the scripted visit is there yet: ./run demo --script")
        return 2
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hedgehog-")))
            _visit(console, _opened(console, stack, folder))
    except DemoError as error:
        complaint = "\n".join([f"The demo stopped: {error}", *getattr(error, "__notes__", ())])
        Console(stderr=True, highlight=False).print(complaint, markup=False)
        return 1
    return 0


def _opened(console: Console, stack: ExitStack, folder: Path) -> Visit:
    """The shop with all that it needs, until the stack ends."""
    try:
        local = stack.enter_context(posthog_local())
    except ServerDidNotStart as error:
        raise DemoError(f"PostHog Local did not start: {error}") from error
    seeds.plant(local)
    _tick(console, f"PostHog Local listens at {local.url}")
    host = stack.enter_context(running("The host", _host_command(folder), folder))
    url = str(host.expect("its address", lambda line: "url" in line)["url"])
    _set_variables(folder, local)
    deployed = host.expect("the deployed shop", lambda line: "deployed" in line)
    _tick(console, f"The shop runs at {url} with {deployed['deployed']} functions")
    visitor = stack.enter_context(_visitor(url, folder))
    return Visit(
        local=local,
        host_url=url,
        admin_key=env_local.read(folder)[env_local.KEY_VARIABLE],
        folder=folder,
        visitor=visitor,
    )


def _host_command(folder: Path) -> list[str]:
    return tool(
        "pyconvex", "dev", "--json", "--port", "0", "--data", str(folder / "data"), "--no-watch",
        "--functions", str(SHOP / "convex"),
    )  # fmt: skip


def _set_variables(folder: Path, local: PostHogLocal) -> None:
    """What a person would type: `pyconvex env set NAME VALUE`."""
    variables = {
        "POSTHOG_HOST": local.url,
        "POSTHOG_PERSONAL_API_KEY": local.secret_key,
        "POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS": str(REFRESH_S),
        "POSTHOG_PROJECT_TOKEN": local.project_token,
    }
    for name, value in variables.items():
        say_to("pyconvex", "env", "set", name, value, folder=folder)


def _visitor(url: str, folder: Path) -> AbstractContextManager[JsonLines]:
    return running("The visitor", [node(), str(SHOP / "visit.mjs"), url], folder)


def _visit(console: Console, visit: Visit) -> None:
    """Every step, and then what they left on the person's timeline."""
    for step in STEPS:
        _tick(console, step(visit))
    entries = timeline.wait_for(visit.local, visit.person, visit.expected, ARRIVAL_S)
    console.print(timeline.table(visit.person, entries))
    timeline.check(entries, visit.expected)


def _tick(console: Console, text: str) -> None:
    console.print(f"[green]✓[/green] {text}", soft_wrap=True)
