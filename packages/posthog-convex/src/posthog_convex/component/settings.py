"""What the component's variables mean.

Owns reading them. Never keeps one: they change while everything runs. One invariant: a variable
that can't be read counts as left out, and whoever reads it says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

#: Opens the component's HTTP route, by which a webhook of PostHog has definitions looked for.
WEBHOOK_SECRET = "POSTHOG_WEBHOOK_SECRET"  # noqa: S105  # the variable's name

DEFAULT_POLL_INTERVAL_S = 60.0
#: Every poll is billed as ten requests: nobody means less than this.
LEAST_POLL_INTERVAL_S = 1.0
REQUESTS_A_LOOK = 10
_MONTH_S = 30 * 24 * 3600

#: As many of one kind as PostHog's Python SDK lets through once its burst is used up.
DEFAULT_ERRORS_PER_MINUTE = 60.0
UNLIMITED = "unlimited"

_YES = frozenset({"1", "true", "yes", "on"})


def is_yes(env: Mapping[str, str], name: str) -> bool:
    """Whether a variable that is a switch is on.

    >>> is_yes({"A": "True"}, "A"), is_yes({"A": "0"}, "A"), is_yes({}, "A")
    (True, False, False)
    """
    return env.get(name, "").strip().lower() in _YES


def is_disabled(env: Mapping[str, str]) -> bool:
    """Whether flag definitions are not to be fetched, key or not."""
    return is_yes(env, "POSTHOG_DISABLE_LOCAL_EVALUATION")


def captures_uncaught(env: Mapping[str, str]) -> bool:
    """Whether errors that leave their functions are sent to PostHog."""
    return not is_yes(env, "POSTHOG_DISABLE_EXCEPTION_AUTOCAPTURE")


def errors_per_minute(env: Mapping[str, str]) -> tuple[float | None, str | None]:
    """How many uncaught errors of one kind are sent, and a complaint about an unreadable setting.

    None is without a limit.

    >>> errors_per_minute({"POSTHOG_EXCEPTION_AUTOCAPTURE_PER_MINUTE": "unlimited"})
    (None, None)
    """
    text = env.get("POSTHOG_EXCEPTION_AUTOCAPTURE_PER_MINUTE", "").strip()
    if not text:
        return DEFAULT_ERRORS_PER_MINUTE, None
    if text.lower() == UNLIMITED:
        return None, None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if math.isfinite(number) and number >= 1:
        return number, None
    return DEFAULT_ERRORS_PER_MINUTE, (
        f"POSTHOG_EXCEPTION_AUTOCAPTURE_PER_MINUTE is {text!r}, which is neither a number of at "
        f"least 1 nor {UNLIMITED!r}; using {DEFAULT_ERRORS_PER_MINUTE:g}"
    )


def misplaced_token(env: Mapping[str, str]) -> str | None:
    """What is wrong with the kind of the project token: PostHog takes events with some of them,
    and they are nobody's.

    >>> misplaced_token({"POSTHOG_PROJECT_TOKEN": "phc_1"})
    """
    if env.get("POSTHOG_PROJECT_TOKEN", "").strip().startswith(("phx_", "phs_", "pha_")):
        return (
            "POSTHOG_PROJECT_TOKEN holds a secret key: set it to the project token (phc_…), and "
            "the secret as POSTHOG_PERSONAL_API_KEY"
        )
    return None


def misplaced_key(env: Mapping[str, str]) -> str | None:
    """What is wrong with the kind of key for definitions, seen from its beginning.

    >>> misplaced_key({"POSTHOG_PERSONAL_API_KEY": "phx_1"})
    """
    if env.get("POSTHOG_PERSONAL_API_KEY", "").strip().startswith("phc_"):
        return (
            "POSTHOG_PERSONAL_API_KEY holds a project token (phc_…), which opens no flag "
            "definitions: set it to the project's secret key (phs_…) or a personal API key (phx_…)"
        )
    return misplaced_token(env)


def requests_a_month(interval_s: float) -> int:
    """As how many flag requests PostHog bills the looks of thirty days, at most.

    >>> requests_a_month(60.0)
    432000
    """
    return round(_MONTH_S / interval_s) * REQUESTS_A_LOOK


def poll_interval_s(env: Mapping[str, str]) -> tuple[float, str | None]:
    """The pause between two looks for definitions, and a complaint about an unreadable setting.

    >>> poll_interval_s({"POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS": "30"})
    (30.0, None)
    """
    text = env.get("POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS", "").strip()
    if not text:
        return DEFAULT_POLL_INTERVAL_S, None
    try:
        interval_s = float(text)
    except ValueError:
        interval_s = math.nan
    if math.isfinite(interval_s) and interval_s >= LEAST_POLL_INTERVAL_S:
        return interval_s, None
    return DEFAULT_POLL_INTERVAL_S, (
        f"POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS is {text!r}, which is no number of at least "
        f"{LEAST_POLL_INTERVAL_S:g}; using {DEFAULT_POLL_INTERVAL_S:g}"
    )
