"""PostHog's part of `pyconvex doctor`: keys of the wrong kind, flags, one test event end to end.

Owns these checks. Never shows a key. One invariant: what is sent is marked as a test and makes no
person, and only when `doctor` was allowed to send.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx2

from posthog_convex.component.settings import (
    REQUESTS_A_LOOK,
    is_disabled,
    misplaced_key,
    poll_interval_s,
    requests_a_month,
)
from posthog_convex.destination import (
    HOST_VARIABLE,
    TOKEN_VARIABLE,
    Answer,
    Destination,
    NotNow,
    NotVerifiable,
    Rejected,
    Verified,
    host_problem,
    token_problem,
    verify,
)
from posthog_convex.events.batch import USER_AGENT
from posthog_convex.project.effective import settings
from pyconvex.cli.counted import counted
from pyconvex.cli.findings import Finding, Inspected, Level

#: What the lanes of our component begin with, under whatever name an app mounts it.
_LANES = "posthog_convex.component.lanes:"
_EVENT_LANE = "EventLane"
TEST_EVENT = "pyconvex_doctor_test"
#: A lane collects rows for a moment before it sends.
PATIENCE_S = 20.0
_LOOK_EVERY_S = 0.25
#: For PostHog to say whether it knows the token.
ASK_TIMEOUT_S = 10.0


def check(inspected: Inspected) -> Iterator[Finding]:
    """Look at every place where an app uses PostHog."""
    for component in inspected.status["components"]:
        if any(lane.startswith(_LANES) for lane in component["lanes"]):
            yield from _check(inspected, component)


def _check(inspected: Inspected, component: Mapping[str, Any]) -> Iterator[Finding]:
    path, env = component["path"], inspected.seen_by(component)
    yield from settings(inspected, component)
    wrong = misplaced_key(env)
    if wrong is not None:
        yield Finding(Level.PROBLEM, path, wrong)
        return
    yield from _project(inspected, path, env)
    yield from _flags(inspected, path, env)
    if env.get(TOKEN_VARIABLE, "").strip():
        yield _event(inspected, path)


def _project(inspected: Inspected, path: str, env: Mapping[str, str]) -> Iterator[Finding]:
    """Whether there is such a project: PostHog takes events for tokens of nobody, too."""
    destination = Destination(env.get(TOKEN_VARIABLE, "").strip(), env.get(HOST_VARIABLE))
    if not destination.token:
        text = "POSTHOG_PROJECT_TOKEN is not set: events wait until it is"
        yield Finding(Level.PROBLEM, path, text)
        return
    if (problem := token_problem(destination.token)) is not None:
        yield Finding(Level.PROBLEM, path, f"POSTHOG_PROJECT_TOKEN: {problem}")
        return
    if host_problem(destination.origin) is not None:
        text = "POSTHOG_HOST is no address: write it as in https://eu.i.posthog.com"
        yield Finding(Level.PROBLEM, path, text)
        return
    if not inspected.may_send:
        return
    match asyncio.run(verify(destination, _ask)):
        case Verified():
            text = f"{destination.origin} has a project with this token"
            yield Finding(Level.OK, path, text)
        case Rejected(reason):
            text = f"{reason}: check POSTHOG_PROJECT_TOKEN and POSTHOG_HOST"
            yield Finding(Level.PROBLEM, path, text)
        case NotVerifiable(reason) | NotNow(reason):
            yield Finding(Level.WARNING, path, f"the token could not be checked: {reason}")


async def _ask(url: str, body: bytes, /) -> Answer | str:
    headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
    async with httpx2.AsyncClient(timeout=ASK_TIMEOUT_S) as client:
        try:
            answer = await client.post(url, content=body, headers=headers)
        except (httpx2.HTTPError, OSError) as error:
            return f"{type(error).__name__}: {error}"
        return Answer(answer.status_code, {k.lower(): v for k, v in answer.headers.items()})


def _flags(inspected: Inspected, path: str, env: Mapping[str, str]) -> Iterator[Finding]:
    interval_s, complaint = poll_interval_s(env)
    if complaint is not None:
        yield Finding(Level.WARNING, path, complaint)
    if is_disabled(env):
        text = "flag definitions are not refreshed: POSTHOG_DISABLE_LOCAL_EVALUATION is set"
        yield Finding(Level.INFO, path, text)
        return
    if not env.get("POSTHOG_PERSONAL_API_KEY", "").strip():
        text = "flag definitions are not refreshed: POSTHOG_PERSONAL_API_KEY is not set"
        yield Finding(Level.INFO, path, text)
        return
    status = inspected.call("poll:status", {}, path)
    text = f"{counted(round(status['flags']), 'flag')}, {status['poll']}; {_cost(interval_s)}"
    if status["error"]:
        yield Finding(Level.PROBLEM, path, f"{text}; last error: {status['error']}")
    else:
        yield Finding(Level.OK, path, text)


def _cost(interval_s: float) -> str:
    looks = requests_a_month(interval_s) // REQUESTS_A_LOOK
    return (
        f"looks for newer ones every {interval_s:g} s: {looks:,} times a month, which PostHog "
        f"bills as {requests_a_month(interval_s):,} flag requests at most"
    )


def _event(inspected: Inspected, path: str) -> Finding:
    """Queue one marked event as a function would, and wait until PostHog has it."""
    if not inspected.may_send:
        return Finding(Level.INFO, path, "no test event was sent (--no-send)")
    before = _lane(inspected.status, path)
    uuid = str(uuid4())
    event = {
        "uuid": uuid,
        "event": TEST_EVENT,
        "distinct_id": "pyconvex-doctor",
        "timestamp": datetime.now(UTC).isoformat(),
        "properties": {"$process_person_profile": False, "test": True},
    }
    inspected.call("lib:capture", {"event": json.dumps(event)}, path)
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        now = _lane(inspected.look_again(), path)
        if now["sent"] > before["sent"]:
            text = f"a test event arrived: {TEST_EVENT}, uuid {uuid}"
            return Finding(Level.OK, path, text)
        if now["set_aside"] > before["set_aside"] or now["failed"] > before["failed"]:
            break
        inspected.pause(_LOOK_EVERY_S)
    error = now["last_error"] or f"nothing was accepted within {PATIENCE_S:.0f} s"
    text = f"a test event did not arrive: {error}. It stays queued and is sent when it can be"
    return Finding(Level.PROBLEM, path, text)


def _lane(status: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    for lane in status["lanes"]:
        if lane["component"] == path and lane["lane"].endswith(_EVENT_LANE):
            found: Mapping[str, Any] = lane
            return found
    return {"sent": 0, "failed": 0, "set_aside": 0, "last_error": "its lane does not run"}
