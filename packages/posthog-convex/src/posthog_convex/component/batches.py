"""Events in one request, and what PostHog's answer to them means.

Owns the batch's form. Never decides when to retry, split or give up: the host's delivery does. One
invariant: equal events make equal bytes, without a time of sending, so that what is sent twice is
one event.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence

import msgspec

from posthog_convex.endpoints import BATCH, normalise_host
from posthog_convex.events.builders import LIBRARY, LIBRARY_VERSION
from pyconvex.delivery import Accepted, Request, Response, Retry, Verdict, classify

USER_AGENT = f"{LIBRARY}/{LIBRARY_VERSION}"

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
    batch = [msgspec.Raw(text.encode()) for text in events]
    body = msgspec.json.encode({"api_key": env["POSTHOG_PROJECT_TOKEN"].strip(), "batch": batch})
    return Request(
        BATCH.method,
        BATCH.url(normalise_host(env.get("POSTHOG_HOST"))),
        (
            ("Content-Type", "application/json"),
            ("Content-Encoding", "gzip"),
            ("User-Agent", USER_AGENT),
        ),
        # Without a time in the header, equal events make equal bytes.
        gzip.compress(body, compresslevel=6, mtime=0),
    )


def classify_batch(response: Response) -> Verdict:
    """What an answer means; whatever a person must change says so and keeps the events."""
    verdict = classify(response)
    match verdict:
        case Accepted() if "html" in response.headers.get("content-type", ""):
            return Retry(
                "a web page answered instead of PostHog; check POSTHOG_HOST", QUOTA_PAUSE_S
            )
        case Accepted() if _quota_limited(response):
            return Retry(
                "PostHog's quota for events is used up; raise the limit in billing", QUOTA_PAUSE_S
            )
        case Retry(reason, after_s) if response.status in (401, 403):
            return Retry(f"{reason}; check POSTHOG_PROJECT_TOKEN", after_s)
        case Retry(reason, after_s) if response.status in (301, 302, 307, 308, 404, 405):
            return Retry(f"{reason}; check POSTHOG_HOST", after_s)
    return verdict


class _BatchAnswer(msgspec.Struct):
    quota_limited: list[str] = []


def _quota_limited(response: Response) -> bool:
    try:
        return "events" in msgspec.json.decode(response.body, type=_BatchAnswer).quota_limited
    except msgspec.MsgspecError:
        return False
