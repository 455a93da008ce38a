"""How the flags and events of this deployment are doing.

Owns the typed answers about refresh and delivery. Never measures anything. One invariant: an age is
never younger than what is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

import msgspec


class PollState(StrEnum):
    """What the refresh of flag definitions does."""

    #: Definitions are loaded, and the last look for newer ones went well.
    FINE = "fine"
    #: The last looks went wrong; what was loaded before stays in force.
    FAILING = "failing"
    #: There is a key, and definitions have not arrived yet.
    NOT_LOADED = "not_loaded"
    #: There is no POSTHOG_PERSONAL_API_KEY, so nothing is looked for.
    NO_KEY = "no_key"
    #: POSTHOG_DISABLE_LOCAL_EVALUATION is set, so nothing is looked for.
    DISABLED = "disabled"


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How flags are doing when this was asked, and events when they were last counted.

    Events are counted after commits and while some wait, every few seconds.
    """

    poll: PollState
    #: How many definitions are stored.
    flags: int
    cohorts: int
    #: When the stored definitions came, which were then new; None before the first.
    fetched_at: datetime | None
    #: Until when they are known to have been PostHog's own. While all is fine, that is when this
    #: was asked: they are at most one interval old.
    confirmed_at: datetime | None
    #: The first of the failures in a row that is going on.
    failing_since: datetime | None
    #: What is wrong, and what to do.
    error: str | None
    poll_interval_s: float
    #: Events that wait to be sent, and when the first of them was captured.
    queued: int = 0
    oldest: datetime | None = None
    #: Events that PostHog has accepted, since the deployment was made.
    sent: int = 0
    #: Events that PostHog refused for good; each is set aside with its reason.
    failed: int = 0
    #: Events that found the queue full: 10 GB, or its first event a week old.
    dropped: int = 0
    #: What is wrong with sending events now, None while it goes well; they wait and are sent again.
    delivery_error: str | None = None
    #: What was wrong last.
    last_error: str | None = None
    #: When events were counted; None before the first.
    counted_at: datetime | None = None

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Self:
        """A status from the component's answer."""
        return cls(
            poll=PollState(found["poll"]),
            flags=found["flags"],
            cohorts=found["cohorts"],
            fetched_at=_moment(found["fetched_at"]),
            confirmed_at=_moment(found["confirmed_at"]),
            failing_since=_moment(found["failing_since"]),
            error=found["error"],
            poll_interval_s=found["interval_s"],
            queued=found["queued"],
            oldest=_moment(found["oldest"]),
            sent=found["sent"],
            failed=found["failed"],
            dropped=found["dropped"],
            delivery_error=found["delivery_error"],
            last_error=found["last_error"],
            counted_at=_moment(found["counted_at"]),
        )

    def age_s(self, now: datetime) -> float | None:
        """For how long the definitions have not been known to be PostHog's own; None without any.

        >>> noon = datetime(2024, 6, 1, 12, tzinfo=UTC)
        >>> status = Status(poll=PollState.FAILING, flags=3, cohorts=0, fetched_at=noon,
        ...     confirmed_at=noon, failing_since=noon, error="503", poll_interval_s=60.0)
        >>> status.age_s(noon.replace(minute=5))
        300.0
        """
        if self.confirmed_at is None:
            return None
        return max(0.0, (now - self.confirmed_at).total_seconds())


class Reload(StrEnum):
    """How a look for newer definitions went."""

    UPDATED = "updated"
    UNCHANGED = "unchanged"
    #: Nothing was looked for: there is no key, or local evaluation is switched off.
    SKIPPED = "skipped"
    #: PostHog was not reached or refused; what was loaded before stays in force.
    ERROR = "error"


class Reloaded(msgspec.Struct, frozen=True):
    """What `reload_feature_flags` did; `reason` says why, where it skipped or failed."""

    status: Reload
    reason: str | None = None

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Self:
        """From the component's answer."""
        return cls(Reload(found["status"]), found["reason"])


def _moment(ms: float | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
