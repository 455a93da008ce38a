"""The payload of a flag that only carries configuration, which PostHog decrypts for its owner.

Owns the request and what the answers mean. Never sends, and never keeps a payload. One invariant:
there is a payload, or a sentence that says why there is none and never holds the key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from posthog_convex.component.batches import USER_AGENT
from posthog_convex.component.settings import misplaced_key
from posthog_convex.endpoints import REMOTE_CONFIG, normalise_host
from pyconvex.delivery import Request, Response


class Payload(msgspec.Struct, frozen=True):
    """What was found: JSON text, or why there is none."""

    text: str | None = None
    error: str | None = None


def unasked(env: Mapping[str, str]) -> str | None:
    """Why PostHog can't be asked with these variables; None when it can."""
    for name in ("POSTHOG_PROJECT_TOKEN", "POSTHOG_PERSONAL_API_KEY"):
        if not (env.get(name) or "").strip():
            return f"{name} is not set"
    return misplaced_key(env)


def payload_request(env: Mapping[str, str], key: str) -> Request:
    """The request for a flag's payload."""
    host, token = normalise_host(env.get("POSTHOG_HOST")), env["POSTHOG_PROJECT_TOKEN"].strip()
    headers = (
        ("Authorization", f"Bearer {env['POSTHOG_PERSONAL_API_KEY'].strip()}"),
        ("User-Agent", USER_AGENT),
    )
    return Request(REMOTE_CONFIG.method, REMOTE_CONFIG.url(host, token=token, key=key), headers)


def read_payload(response: Response, key: str) -> Payload:
    """The payload of an answer, or what is wrong with it."""
    match response.status:
        case 200:
            return _read(response.body)
        case 401 | 403:
            return Payload(
                error=f"PostHog refused the key ({response.status}): check POSTHOG_PERSONAL_API_KEY"
            )
        case 404:
            return Payload(error=f"PostHog has no remote configuration {key!r}")
        case status if status < 500:
            return Payload(error=f"no remote configuration at this address (status {status})")
        case status:
            return Payload(error=f"PostHog could not answer (status {status})")


def _read(body: bytes) -> Payload:
    """As JSON, once: the answer may be JSON that is written as a text."""
    try:
        found: Any = msgspec.json.decode(body)
    except msgspec.MsgspecError:
        return Payload(error="the answer is none of PostHog's: check POSTHOG_HOST")
    if isinstance(found, str):
        with suppress(ValueError):  # what isn't JSON stays text
            found = json.loads(found)
    return Payload(json.dumps(found))
