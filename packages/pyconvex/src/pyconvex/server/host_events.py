"""What the host tells of itself in pauses: scheduler, concurrency, storage, egress, drops.

Owns when each is looked at and when it is worth an event. Never counts anything itself. One
invariant: nothing is measured that no stream wants; what is told goes into the run log, so that
streams carry it like all else.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence

import msgspec

from pyconvex.database.catalog import COMPONENTS, ENV, QUEUES, TABLES, TableInfo, table_of
from pyconvex.database.documents import decode_document
from pyconvex.delivery.messages import LaneStatus
from pyconvex.log_streams import topics, v2
from pyconvex.runlog.log import RunLog
from pyconvex.runtime.answering.concurrency import Concurrency, Peak
from pyconvex.runtime.scheduling.scheduler import Lateness
from pyconvex.storage import Reader, Store
from pyconvex.storage.reader import NO_LIMIT
from pyconvex.storage.sizes import Sizes, measure

_LOG = logging.getLogger("pyconvex.log_streams")
#: Between two looks at the scheduler; and how far apart its events are, in time or in lateness.
SCHEDULER_LOOK_S = 5.0
SCHEDULER_EVERY_S = 30.0
#: Between two events of concurrency and of egress (Convex's numbers).
MINUTE_S = 60.0
#: Between two looks at storage, give or take a half.
STORAGE_EVERY_S = 3600.0


class HostEvents:
    """Tells of one server."""

    def __init__(
        self,
        run_log: RunLog,
        store: Store,
        concurrency: Concurrency,
        lateness: Callable[[], Lateness],
        lanes: Callable[[], Sequence[LaneStatus]],
        *,
        now_ms: Callable[[], float] = lambda: time.time() * 1000,
    ) -> None:
        self._run_log = run_log
        self._store = store
        self._concurrency = concurrency
        self._lateness = lateness
        self._lanes = lanes
        self._now_ms = now_ms
        self._scheduler = SchedulerWatch()
        self._told_peaks: dict[str, Peak] = {}
        self._minute_ms = now_ms()
        self._egress = 0

    async def run(self) -> None:
        """Look after all of it until cancelled."""
        async with asyncio.TaskGroup() as group:
            for every_s, look in (
                (SCHEDULER_LOOK_S, self.look_at_scheduler),
                (MINUTE_S, self.look_at_minute),
            ):
                group.create_task(_repeat(every_s, look))
            group.create_task(self._look_at_storage())

    def look_at_scheduler(self) -> None:
        """Tell how late and how busy the scheduler is, where that is news."""
        wanted = [topics.SCHEDULER_STATS, topics.SCHEDULED_JOB_LAG]
        if not any(self._run_log.wants(topics.entry_kind(topic)) for topic in wanted):
            return
        late = self._lateness()
        now_ms = self._now_ms()
        if not self._scheduler.is_news(now_ms / 1000, late):
            return
        lag_s, moment = int(late.lag_s), int(now_ms)
        self.tell(
            v2.SchedulerStats(timestamp=moment, lag_seconds=lag_s, num_running_jobs=late.running)
        )
        if late.lag_s > 0:
            self.tell(v2.ScheduledJobLag(timestamp=moment, lag_seconds=lag_s))

    def look_at_minute(self) -> None:
        """Tell of the minute that is over: what ran, what was sent, what could not be written."""
        peaks, since_ms = self._concurrency.take_peaks(), self._minute_ms
        self._minute_ms = self._now_ms()
        if peaks != self._told_peaks:
            self._told_peaks = peaks
            self.tell(_concurrency(peaks, int(since_ms)))
        sent = sum(status.sent_bytes for status in self._lanes())
        if sent > self._egress:
            bytes_ = sent - self._egress
            self.tell(v2.LogStreamEgress(timestamp=int(self._minute_ms), egress_bytes=bytes_))
        self._egress = sent
        self._run_log.count_unwritten()

    async def _look_at_storage(self) -> None:
        while True:
            # Not all deployments of a machine at once.
            await asyncio.sleep(STORAGE_EVERY_S * random.uniform(0.5, 1.5))  # noqa: S311
            try:
                await self.look_at_storage()
            except Exception:  # the same
                _LOG.exception("What the deployment keeps could not be measured.")

    async def look_at_storage(self) -> None:
        """Tell what documents and indexes take."""
        if not self._run_log.wants(topics.entry_kind(topics.CURRENT_STORAGE_USAGE)):
            return
        path = self._store.database
        sizes, tables = await asyncio.to_thread(lambda: (measure(path), _tables(Reader(path))))
        self.tell(_storage(sizes, tables, int(self._now_ms())))

    def tell(self, event: v2.Event) -> None:
        """Let streams that want it have this event."""
        self._run_log.tell(topics.entry_kind(event.topic), msgspec.to_builtins(event))


class SchedulerWatch:
    """Decides when how the scheduler fares is worth an event."""

    def __init__(self) -> None:
        #: When something was last told, and how late it was then; None while there is nothing.
        self._told: tuple[float, float] | None = None

    def is_news(self, now_s: float, late: Lateness) -> bool:
        """Whether to tell now: at the first job, after half a minute, or when it became later."""
        if late.lag_s <= 0 and late.running == 0:
            self._told = None
            return False
        if self._told is not None:
            told_s, lag_s = self._told
            quiet = now_s - told_s < SCHEDULER_EVERY_S
            if quiet and abs(late.lag_s - lag_s) < SCHEDULER_EVERY_S:
                return False
        self._told = (now_s, late.lag_s)
        return True


def _concurrency(peaks: dict[str, Peak], timestamp: int) -> v2.ConcurrencyStats:
    def of(kind: str) -> v2.Concurrency:
        peak = peaks.get(kind, Peak())
        return v2.Concurrency(num_running=peak.running, num_queued=peak.queued)

    return v2.ConcurrencyStats(
        timestamp=timestamp,
        query=of("query"),
        mutation=of("mutation"),
        action=of("action"),
        http_action=of("http_action"),
    )


def _tables(reader: Reader) -> list[TableInfo]:
    reader.begin()
    try:
        rows = reader.scan(TABLES.tablet, b"", None, descending=False, limit=NO_LIMIT)
        made = [table_of(decode_document(doc)) for _, _, _, doc in rows]
    finally:
        reader.end()
        reader.close()
    return [TABLES, ENV, COMPONENTS, QUEUES, *made]


def _storage(sizes: Sizes, tables: list[TableInfo], timestamp: int) -> v2.CurrentStorageUsage:
    names = {table.tablet: table.name for table in tables}
    own: dict[str, int] = {}
    documents = 0
    for tablet, size in sizes.documents.items():
        name = names.get(tablet, "")
        if name.startswith("_"):
            own[name] = own.get(name, 0) + size
        else:
            documents += size
    indexes = sum(
        size for tablet, size in sizes.indexes.items() if not names.get(tablet, "").startswith("_")
    )
    return v2.CurrentStorageUsage(
        timestamp=timestamp,
        total_document_size_bytes=documents,
        total_index_size_bytes=indexes,
        total_system_table_document_size_bytes=own,
    )


async def _repeat(every_s: float, look: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(every_s)
        try:
            look()
        except Exception:  # such as a disk that can't be read: the next look may
            _LOG.exception("What the host tells of itself could not be measured.")
