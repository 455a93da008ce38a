"""What `pyconvex doctor` asks a running deployment: versions, clock, variables, lanes.

Owns these checks. Never changes the deployment.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2

import pyconvex
from pyconvex.cli.counted import counted
from pyconvex.cli.deployment import Deployment
from pyconvex.cli.findings import Finding, Inspected, Level, masked
from pyconvex.cli.machine_checks import LEAST_FREE_BYTES
from pyconvex.companions import CompanionState

#: Times in an HTTP answer are whole seconds; beyond this, tokens and events are off.
LEAST_CLOCK_DIFFERENCE_S = 5.0
#: Behind this, a server that is idle would long have folded its log back.
_LONG_LOG_BYTES = 256 << 20
_LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


def check_address(deployment: Deployment) -> Iterator[Finding]:
    """Where it is, and from where that is known."""
    yield Finding(Level.INFO, "deployment", f"{deployment.url} (from {deployment.origin})")
    yield Finding(
        Level.INFO, "admin key", f"{masked(deployment.admin_key)} (from {deployment.origin})"
    )
    parts = urlsplit(deployment.url)
    if parts.scheme == "http" and parts.hostname not in _LOCAL_HOSTS:
        text = "the admin key travels unencrypted: put a proxy that speaks TLS before it"
        yield Finding(Level.WARNING, "deployment", text)


def check(deployment: Deployment, inspected: Inspected) -> Iterator[Finding]:
    """Look at all that it tells."""
    status = inspected.status
    yield _version(status)
    for setting in status["settings"]:
        text = f"{setting['value']} ({setting['origin']})"
        yield Finding(Level.INFO, f"setting {setting['name']}", text)
    yield _app(status)
    yield from _clock(deployment)
    yield _disk(status)
    yield from _variables(inspected)
    yield from _identity(status)
    for queue in status["queues"]:
        yield _queue(queue)
    for lane in status["lanes"]:
        yield _lane(lane)
    for companion in status.get("companions", ()):  # none from a server of an earlier version
        yield _companion(companion)


def _version(status: Mapping[str, Any]) -> Finding:
    text = f"pyconvex {status['version']} on Python {status['python']}"
    if status["version"] != pyconvex.__version__:
        return Finding(
            Level.WARNING, "server", f"{text}, and this command is {pyconvex.__version__}"
        )
    return Finding(Level.OK, "server", f"{text}, data in {status['dataFolder']}")


def _app(status: Mapping[str, Any]) -> Finding:
    if status["functions"] is None:
        return Finding(Level.WARNING, "app", "nothing is deployed: pyconvex dev or pyconvex deploy")
    components = [each["path"] for each in status["components"] if each["path"]]
    functions = counted(status["functions"], "function")
    text = f"{functions}; components: {', '.join(components) or 'none'}"
    return Finding(Level.OK, "app", text)


def _clock(deployment: Deployment) -> Iterator[Finding]:
    asked = time.time()
    answer = httpx2.get(deployment.url + "/version", timeout=10)
    took_s = time.time() - asked
    date = answer.headers.get("date")
    if date is None:
        return
    # The header has whole seconds, cut off: half a second later is the best guess.
    difference_s = parsedate_to_datetime(date).timestamp() + 0.5 - (asked + took_s / 2)
    if abs(difference_s) > LEAST_CLOCK_DIFFERENCE_S + took_s:
        yield Finding(
            Level.PROBLEM,
            "clock",
            f"the server's clock differs from this one by {round(difference_s):+d} s: set both by "
            "a time server",
        )
    else:
        yield Finding(Level.OK, "clock", f"as the server's; it answers in {took_s * 1000:.0f} ms")


def _disk(status: Mapping[str, Any]) -> Finding:
    free, log = status["diskFreeBytes"], status["logBytes"]
    text = (
        f"database {status['databaseBytes'] / (1 << 20):.1f} MB, log {log / (1 << 20):.1f} MB, "
        f"{free / (1 << 30):.1f} GB free"
    )
    if free < LEAST_FREE_BYTES:
        return Finding(Level.PROBLEM, "disk", f"{text}: make room, or commits will fail")
    if log > _LONG_LOG_BYTES:
        return Finding(
            Level.WARNING, "disk", f"{text}: something keeps a snapshot of the database open"
        )
    return Finding(Level.OK, "disk", text)


def _variables(inspected: Inspected) -> Iterator[Finding]:
    """Every variable: whether it is set, what wants it, and under which name."""
    wanted: dict[str, list[str]] = {}
    required: set[str] = set()
    for component in inspected.status["components"]:
        for variable in component["variables"]:
            source = variable["source"]
            if source is None:
                continue
            wanted.setdefault(source, []).append(component["path"] or "the app")
            if not variable["optional"]:
                required.add(source)
    for name in sorted({*wanted, *inspected.variables}):
        by = f"declared by {', '.join(wanted[name])}" if name in wanted else "declared by nobody"
        value = inspected.variables.get(name)
        if value is not None:
            yield Finding(Level.INFO, name, f"{masked(value)}, set on the deployment; {by}")
        elif name in required:
            yield Finding(Level.PROBLEM, name, f"not set; {by}: pyconvex env set {name} VALUE")
        else:
            yield Finding(Level.INFO, name, f"not set, its default holds; {by}")


def _identity(status: Mapping[str, Any]) -> Iterator[Finding]:
    """What is wrong or easily overlooked with the identity providers that the app trusts."""
    for advice in status["authAdvice"]:
        yield Finding(Level.WARNING, "identity", advice)


def _queue(queue: Mapping[str, Any]) -> Finding:
    about = f"queue {queue['component']}/{queue['queue']}"
    text = f"{counted(queue['rows'], 'row')} ({queue['bytes'] / 1024:.0f} kB) waiting"
    if queue["oldest_ts"] is not None:
        text += f", the oldest for {max(0.0, time.time() - queue['oldest_ts'] / 1e9):.0f} s"
    text += f"; {queue['acknowledged']} have left since the data folder was made"
    if queue["dropped"]:
        text += f"; {queue['dropped']} dropped"
    aside = queue.get("kept_aside", queue["set_aside"])  # none from a server of an earlier version
    if aside:
        name = f"{queue['component']}/{queue['queue']}".lstrip("/")
        text += f"; {aside} set aside\nlook at them with: pyconvex queues show {name}"
    if queue["dropped"] or aside:
        return Finding(Level.WARNING, about, text)
    return Finding(Level.OK, about, text)


def _lane(lane: Mapping[str, Any]) -> Finding:
    about = f"lane {lane['component']}/{lane['lane']}"
    if lane.get("title"):  # none from a server of an earlier version
        about = f"log stream {lane['title']}"
    text = f"{lane['state']}; sent {lane['sent']}, failed {lane['failed']}"
    if lane["in_hand"]:
        text += f", in hand {lane['in_hand']}"
    if lane["set_aside"]:
        text += f", set aside {lane['set_aside']}"
    if lane["last_error"]:
        text += f"\nlast error: {lane['last_error']}"
    if lane["missing"]:
        text += f"\nwaits for: {', '.join(lane['missing'])}"
    if lane["circuit"] != "closed":
        return Finding(Level.PROBLEM, about, text)
    bad = lane["missing"] or lane["set_aside"] or (lane["last_error"] and lane["in_hand"])
    return Finding(Level.WARNING if bad else Level.OK, about, text)


def _companion(companion: Mapping[str, Any]) -> Finding:
    about, state = f"companion {companion['name']}", companion["state"]
    text = state
    if companion["pid"] is not None:
        text += f" as process {companion['pid']}"
    if companion["starts"] > 1:
        text += f", started {counted(companion['starts'], 'time')}"
    if companion["nextMs"] is not None:
        text += f", next start in {max(0.0, companion['nextMs'] / 1000 - time.time()):.0f} s"
    if companion["reason"]:
        text += f": {companion['reason']}"
    if companion["failures"]:
        text += f"\nended too soon {counted(companion['failures'], 'time')} in a row"
    if companion["lastLine"]:
        text += f"\nit said last: {companion['lastLine']}"
    level = Level.WARNING if companion["failures"] else Level.OK
    return Finding(_COMPANION_LEVELS.get(state, level), about, text)


_COMPANION_LEVELS = {
    CompanionState.NOT_SET_UP.value: Level.INFO,
    CompanionState.IDLE.value: Level.INFO,
    CompanionState.BROKEN.value: Level.PROBLEM,
    CompanionState.RESTARTING.value: Level.PROBLEM,
}
