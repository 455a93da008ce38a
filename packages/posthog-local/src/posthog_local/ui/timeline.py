"""One timeline from several sources: a person's events, log lines and recordings, the
latest first.

Owns the order in which a page shows them. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from posthog_local.logs.record import LogRecord
from posthog_local.store.reader import StoredEvent
from posthog_local.store.shelves.logs import StoredLog
from posthog_local.store.shelves.recordings import Recording


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a timeline: an event, a log line or a recording."""

    at_us: int
    event: StoredEvent | None = None
    log: LogRecord | None = None
    recording: Recording | None = None


def merged(
    events: Sequence[StoredEvent], logs: Sequence[StoredLog], recordings: Sequence[Recording]
) -> list[Entry]:
    """All as entries of one timeline, the latest first."""
    entries = [Entry(at_us=one.timestamp_us, event=one) for one in events]
    entries += [Entry(at_us=one.record.timestamp_us, log=one.record) for one in logs]
    entries += [Entry(at_us=one.first_ms * 1000, recording=one) for one in recordings]
    return sorted(entries, key=lambda entry: entry.at_us, reverse=True)
