"""PostHog's part of `pyconvex doctor`: keys of the wrong kind, flags, one test event end to end.

Owns these checks. Never shows a key. One invariant: what is sent is marked as a test and makes no
person, and only when `doctor` was allowed to send.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from posthog_convex.component.settings import is_disabled, misplaced_key, poll_interval_s
from pyconvex.cli.findings import Finding, Inspected, Level

#: What the lanes of our component begin with, under whatever name an app mounts it.
_LANES = "posthog_convex.component.lanes:"
_EVENT_LANE = "EventLane"
TEST_EVENT = "pyconvex_doctor_test"
#: A lane collects rows for a moment before it sends.
PATIENCE_S = 20.0
_LOOK_EVERY_S = 0.25


def check(inspected: Inspected) -> Iterator[Finding]:
    """Look at every place where an app uses PostHog."""
    for component in inspected.status["components"]:
        if any(lane.startswith(_LANES) for lane in component["lanes"]):
            yield from _check(inspected, component)


def _check(inspected: Inspected, component: Mapping[str, Any]) -> Iterator[Finding]:
    path, env = component["path"], inspected.seen_by(component)
    wrong = misplaced_key(env)
    if wrong is not None:
        yield Finding(Level.PROBLEM, path, wrong)
        return
    yield from _token(path, env)
    yield from _flags(inspected, path, env)
    if env.get("POSTHOG_PROJECT_TOKEN", "").strip():
        yield _event(inspected, path)


def _token(path: str, env: Mapping[str, str]) -> Iterator[Finding]:
    token = env.get("POSTHOG_PROJECT_TOKEN", "").strip()
    if not token:
        text = "POSTHOG_PROJECT_TOKEN is not set: events wait until it is"
        yield Finding(Level.PROBLEM, path, text)
    elif not token.startswith("phc_"):
        text = "POSTHOG_PROJECT_TOKEN does not begin with phc_, as project tokens do"
        yield Finding(Level.WARNING, path, text)
    host = env.get("POSTHOG_HOST", "").strip()
    if host and not host.startswith(("http://", "https://")):
        text = f"POSTHOG_HOST is {host!r}: write it with https://, as in https://eu.i.posthog.com"
        yield Finding(Level.PROBLEM, path, text)
    else:
        origin = "from POSTHOG_HOST" if host else "POSTHOG_HOST is not set"
        yield Finding(Level.INFO, path, f"events go to {host or 'the US cloud'} ({origin})")


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
    text = f"{status['flags']:.0f} flags, {status['poll']}, refreshed every {interval_s:g} s"
    if status["error"]:
        yield Finding(Level.PROBLEM, path, f"{text}; last error: {status['error']}")
    else:
        yield Finding(Level.OK, path, text)


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
