"""One module for each kind of thing that is kept, with its SQL: `shelves.flags.save(…)`.

What changes something is a job for the writer, or takes the connection of one; what reads is a
reader over a connection.
"""

from posthog_local.store.shelves import (
    charts,
    cohorts,
    events,
    flags,
    issues,
    logs,
    persons,
    recordings,
    warnings,
)

__all__ = [
    "charts",
    "cohorts",
    "events",
    "flags",
    "issues",
    "logs",
    "persons",
    "recordings",
    "warnings",
]
