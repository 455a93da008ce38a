"""The command line of `./run demo`.

Owns what can be asked for and what is refused. Never starts anything. One invariant: no message
repeats a token or a key.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from demo.failure import DemoError
from posthog_convex.destination import host_problem, token_problem

#: Where things listen when nobody asks for other ports: those that their own commands take.
POSTHOG_PORT, HOST_PORT, SHOP_PORT = 8010, 3210, 5173


@dataclass(frozen=True)
class Cloud:
    """A PostHog project elsewhere, to send to instead of PostHog Local."""

    host: str
    token: str
    #: Reads flag definitions; without one the discount stays what it is.
    flags_key: str | None


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    #: Make the visit, print the timeline, and end.
    script: bool
    #: Whether a page and a browser are wanted; else a Python client makes the visit.
    browser: bool
    #: None takes the usual port, or the next free one; 0 any free one.
    posthog_port: int | None
    host_port: int | None
    shop_port: int | None
    #: Keeps what happens here, for the next start; None keeps nothing.
    data: Path | None
    cloud: Cloud | None


def parse(arguments: Sequence[str]) -> Options:
    """Reads the command line; `DemoError` and argparse's own end say what is wrong with it."""
    parser = _parser()
    found = parser.parse_args(arguments)
    return Options(
        script=found.script,
        browser=not found.without_browser,
        posthog_port=found.posthog_port,
        host_port=found.host_port,
        shop_port=found.shop_port,
        # The launcher changes folders before it starts Python; paths are meant from where it was.
        data=found.data and Path(os.environ.get("DEMO_FROM", "."), found.data).resolve(),
        cloud=_cloud(found.host, found.token, found.flags_key),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./run demo",
        description="Start the example shop, its host and PostHog Local, until Ctrl-C.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--script",
        action="store_true",
        help="make one visit in a browser without a window, print the person's timeline, and end",
    )
    parser.add_argument(
        "--without-browser",
        action="store_true",
        help="no page and no browser: a Python client makes the visit",
    )
    parser.add_argument("--host", help="send to this PostHog instead of PostHog Local: https://…")
    parser.add_argument("--token", help="the project token there: phc_…")
    parser.add_argument("--flags-key", help="a key that reads its flag definitions: phs_… or phx_…")
    parser.add_argument(
        "--data", type=Path, help="a folder that keeps people, orders and events between starts"
    )
    for name, what, usual in (
        ("--posthog-port", "PostHog Local", POSTHOG_PORT),
        ("--host-port", "the host of the functions", HOST_PORT),
        ("--shop-port", "the shop's page", SHOP_PORT),
    ):
        parser.add_argument(
            name,
            type=_port,
            metavar="PORT",
            help=f"where {what} listens; {usual} or the next free one if left out, 0 any free one",
        )
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return int(text)


def _cloud(host: str | None, token: str | None, flags_key: str | None) -> Cloud | None:
    if host is None and token is None and flags_key is None:
        return None
    if host is None or token is None:
        raise DemoError("To send to PostHog, give both: --host https://… and --token phc_….")
    local = (urlsplit(host).hostname or "") in ("127.0.0.1", "localhost", "::1")
    if host_problem(host) or not (host.startswith("https://") or local):
        raise DemoError(
            "--host is no address of a PostHog, such as https://eu.i.posthog.com or "
            "https://us.i.posthog.com."
        )
    if (problem := token_problem(token)) is not None:
        raise DemoError(f"--token: {problem}.")
    if not token.startswith("phc_"):
        raise DemoError("--token: a project token begins with phc_.")
    if flags_key is not None and not flags_key.startswith(("phs_", "phx_")):
        raise DemoError("--flags-key: a key that reads flags begins with phs_ or phx_.")
    return Cloud(host.rstrip("/"), token, flags_key)
