"""Events in one request.

Owns the body and headers of a batch, and what PostHog says of a quota in its answer. Never sends.
One invariant: equal events make equal bytes, without a time of sending, so that what is sent twice
is one event.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence

import msgspec

from posthog_convex.events.builders import LIBRARY, LIBRARY_VERSION

USER_AGENT = f"{LIBRARY}/{LIBRARY_VERSION}"


def batch_body(events: Sequence[str], token: str) -> bytes:
    """The compressed body that carries events, given as JSON texts.

    >>> gzip.decompress(batch_body(['{"event":"a"}'], "phc_1"))
    b'{"api_key":"phc_1","batch":[{"event":"a"}]}'
    """
    batch = [msgspec.Raw(text.encode()) for text in events]
    body = msgspec.json.encode({"api_key": token.strip(), "batch": batch})
    # Without a time in the header, equal events make equal bytes.
    return gzip.compress(body, compresslevel=6, mtime=0)


def batch_headers() -> tuple[tuple[str, str], ...]:
    """The headers that go with it; the token is in the body."""
    return (
        ("Content-Type", "application/json"),
        ("Content-Encoding", "gzip"),
        ("User-Agent", USER_AGENT),
    )


def quota_limited(answer: bytes) -> bool:
    """Whether a 200 says that it took no events, as the project's quota is used up.

    >>> quota_limited(b'{"status":"Ok","quota_limited":["events"]}'), quota_limited(b"Ok")
    (True, False)
    """
    try:
        return "events" in msgspec.json.decode(answer, type=_BatchAnswer).quota_limited
    except msgspec.MsgspecError:
        return False


class _BatchAnswer(msgspec.Struct):
    quota_limited: list[str] = []
