"""Events in one request, and what PostHog's answer to them means.

Owns the batch's address and its verdicts. Never decides when to retry, split or give up: the host's
delivery does. One invariant: whatever a person must change says so and keeps the events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from posthog_convex.destination import HOST_VARIABLE, TOKEN_VARIABLE, Destination
from posthog_convex.endpoints import BATCH
from posthog_convex.events.batch import USER_AGENT, batch_body, batch_headers, quota_limited
from pyconvex.delivery import Accepted, Request, Response, Retry, Verdict, classify

__all__ = ["USER_AGENT", "batch_request", "batch_to", "checked_text", "classify_batch"]

#: PostHog's JavaScript SDK pauses as long when a quota is used up.
QUOTA_PAUSE_S = 60.0


def checked_text(event: object) -> str:
    """An event's JSON text as it is, after a look whether it is one JSON object: one that isn't
    would spoil the batch, and only here is it known which one that is."""
    if not isinstance(event, str):
        raise TypeError(f"an event is a JSON text, not {type(event).__name__}")
    msgspec.json.decode(event, type=dict[str, msgspec.Raw])
    return event


def batch_request(events: Sequence[str], env: Mapping[str, str]) -> Request:
    """The request that carries events, given as JSON texts."""
    return batch_to(Destination(env[TOKEN_VARIABLE], env.get(HOST_VARIABLE)), events)


def batch_to(destination: Destination, events: Sequence[str]) -> Request:
    """The same, to a project that is named."""
    body = batch_body(events, destination.token)
    return Request(BATCH.method, BATCH.url(destination.origin), batch_headers(), body)


def classify_batch(
    response: Response, *, token: str = TOKEN_VARIABLE, host: str = HOST_VARIABLE
) -> Verdict:
    """What an answer means; whatever a person must change says so and keeps the events.

    `token` and `host` are what the two settings are called where they can be changed.
    """
    verdict = classify(response)
    match verdict:
        case Accepted() if "html" in response.headers.get("content-type", ""):
            return Retry(f"a web page answered instead of PostHog; check {host}", QUOTA_PAUSE_S)
        case Accepted() if quota_limited(response.body):
            return Retry(
                "PostHog's quota for events is used up; raise the limit in billing", QUOTA_PAUSE_S
            )
        case Retry(reason, after_s) if response.status in (401, 403):
            return Retry(f"{reason}; check {token}", after_s)
        case Retry(reason, after_s) if response.status in (301, 302, 307, 308, 404, 405):
            return Retry(f"{reason}; check {host}", after_s)
    return verdict
