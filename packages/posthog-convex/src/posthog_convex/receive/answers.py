"""What PostHog's answer means for the events that were sent.

Owns the four verdicts. Never acts on them. One invariant: events are given up only when the answer
says that these bytes will never be taken; every other answer keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from posthog_convex.events.batch import quota_limited
from posthog_convex.logs.answer import partial_success

#: A receiver may ask for a pause, not for a day.
LONGEST_PAUSE_S = 900.0
#: When a person has to change something first: credentials, address, quota.
ATTENTION_PAUSE_S = 60.0


class Reply(msgspec.Struct, frozen=True):
    """One HTTP answer; header names are lower-case."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""

    @property
    def said(self) -> str:
        """Status and the beginning of the body, on one line."""
        text = " ".join(self.body[:400].decode("utf-8", "replace").split())[:200]
        return f"{self.status}: {text}".removesuffix(": ")


class Accepted(msgspec.Struct, frozen=True, tag=True):
    """PostHog has them, but for some that it dropped, if it says so."""

    rejected: int = 0
    reason: str = ""


class Later(msgspec.Struct, frozen=True, tag=True):
    """Not now; not before `after_s`, when that is given."""

    reason: str
    after_s: float | None = None


class TooMuch(msgspec.Struct, frozen=True, tag=True):
    """Too large, or one of several is unusable: send fewer at once, down to the one at fault."""

    reason: str


Verdict = Accepted | Later | TooMuch


def verdict_of(reply: Reply | str) -> Verdict:
    """What an answer means; text says why there is none.

    >>> verdict_of(Reply(429, {"retry-after": "7"}))
    Later(reason='429', after_s=7.0)
    """
    if isinstance(reply, str):
        return Later(reply)
    match reply.status:
        case status if 200 <= status < 300:
            if "html" in reply.headers.get("content-type", ""):
                return Later(
                    "a web page answered instead of PostHog; check POSTHOG_HOST", ATTENTION_PAUSE_S
                )
            if quota_limited(reply.body):
                return Later(
                    "PostHog's quota is used up; raise the limit in billing", ATTENTION_PAUSE_S
                )
            said = partial_success(reply.body)
            return Accepted(said.rejected, said.reason)
        case 400 | 413 | 422:
            return TooMuch(reply.said)
        case 408 | 425 | 429:
            return Later(reply.said, _pause_s(reply))
        case status if status >= 500:
            return Later(reply.said, _pause_s(reply))
        case 401 | 403:
            return Later(f"{reply.said}; check POSTHOG_PROJECT_TOKEN", ATTENTION_PAUSE_S)
        case _:
            return Later(f"{reply.said}; check POSTHOG_HOST", ATTENTION_PAUSE_S)


def _pause_s(reply: Reply) -> float | None:
    """PostHog sends seconds, not dates."""
    text = reply.headers.get("retry-after", "").strip()
    return min(float(text), LONGEST_PAUSE_S) if text.isdecimal() else None
