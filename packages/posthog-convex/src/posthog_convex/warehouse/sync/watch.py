"""Syncing without an end: again and again, as soon as there is news.

Owns the pauses and which failures a watch outlives. Never ends by itself but for what no waiting
mends. Invariant: between two rounds nothing is held open that others need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from posthog_convex.warehouse.plan.progress import Progress
from posthog_convex.warehouse.refusal import SyncRefused
from posthog_convex.warehouse.sync.driver import Driver

#: How long this project's host may hold a request, in seconds; proxies cut silence after a minute.
HELD_S = 25.0
#: Pauses after a failure, in seconds.
FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 60.0
#: Failures that may pass by themselves.
_PASSING = frozenset(
    {"no_answer", "corrupt_page", "destination_busy", "destination_full", "not_published"}
)


def rounds(
    driver: Driver,
    *,
    poll_interval_s: float,
    pause: Callable[[float], None],
    trouble: Callable[[SyncRefused], None],
) -> Iterator[Progress]:
    """Each round's progress, without an end. Raises SyncRefused for what waiting does not mend."""
    failures = 0
    while True:
        try:
            progress = driver.run(wait_s=HELD_S if driver.can_wait else 0.0)
        except SyncRefused as refused:
            if refused.code not in _PASSING:
                raise
            trouble(refused)
            pause(min(FIRST_PAUSE_S * 2.0**failures, LONGEST_PAUSE_S))
            failures += 1
            continue
        failures = 0
        yield progress
        if not driver.can_wait:
            pause(poll_interval_s)
