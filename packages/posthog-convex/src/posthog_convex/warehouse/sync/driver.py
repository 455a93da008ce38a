"""The loop that carries pages from a deployment to a destination.

Owns the order of asking, decoding and saving, and their overlap: the next page is on its way while
this one is saved. Never retries what a destination refuses. Invariant: the destination's position
is that of the last page whose rows it holds, wherever the loop is broken off.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread

import msgspec

from posthog_convex.warehouse.destinations.destination import Destination, Notice
from posthog_convex.warehouse.documents import decoding
from posthog_convex.warehouse.plan import planner
from posthog_convex.warehouse.plan import progress as records
from posthog_convex.warehouse.plan.progress import Mode, OnDrop, Progress
from posthog_convex.warehouse.refusal import SyncRefused
from posthog_convex.warehouse.source.deployment import Source
from posthog_convex.warehouse.source.pager import Api, Clock, Pager
from posthog_convex.warehouse.source.retry import Expired
from posthog_convex.warehouse.source.steps import Step
from posthog_convex.warehouse.tables.ref import TableRef
from posthog_convex.warehouse.tables.selection import Selection

#: The thread that waits for the next page, by name.
PAGE_THREAD = "convex-page"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How to sync. `max_pages` and `max_seconds` end a run early; the next one goes on there."""

    deployment: str
    selection: Selection = Selection()
    mode: Mode = Mode.HARD
    on_drop: OnDrop = OnDrop.ARCHIVE
    api: Api = Api.AUTO
    page_size: int | None = None
    max_pages: int | None = None
    max_seconds: float | None = None


class Driver:
    """One sync from a source to a destination. Not for two threads at once."""

    def __init__(
        self,
        source: Source,
        destination: Destination,
        settings: Settings,
        clock: Clock,
        *,
        notice: Notice = lambda step: None,
        watching: Callable[[Progress], None] = lambda progress: None,
        retrying: Callable[[str, int], None] = lambda reason, times: None,
    ) -> None:
        self._source = source
        self._destination = destination
        self._settings = settings
        self._clock = clock
        self._notice = notice
        self._watching = watching
        self._retrying = retrying
        self._progress: Progress | None = None
        self._pager: Pager | None = None

    @property
    def can_wait(self) -> bool:
        """Whether the deployment holds a request until there is news."""
        return self._pager is not None and bool(self._pager.ours)

    def run(self, *, fresh: bool = False, wait_s: float = 0.0) -> Progress:
        """Bring the destination up to date; the progress then.

        `fresh` reads everything again beside the published tables. `wait_s` lets the first request
        be held that long by a deployment that can. Raises SyncRefused with what was kept.
        """
        try:
            return self._run(fresh, wait_s)
        except BaseException:
            self._progress = self._pager = None  # what counts is what the destination says
            raise

    def _run(self, fresh: bool, wait_s: float) -> Progress:
        progress = self._progress or self._begun()
        pager = self._pager = self._pager or self._new_pager(progress)
        if fresh:
            progress = self._restarted(progress, pager)
        self._destination.rest()
        missing = self._missing(progress, pager)
        began, pages = self._clock.monotonic(), progress.pages
        coming = _ahead(pager, wait_s)
        while True:
            page = coming.result()
            self._notice("page")
            if isinstance(page, Expired):
                progress = self._restarted(progress, pager)
                coming = _ahead(pager)
                continue
            last = page.idle or self._enough(progress.pages + 1 - pages, began)
            if not last:
                coming = _ahead(pager)
            missing -= {*page.truncates, *page.revisions}
            progress = self._save(progress, page, missing)
            if page.snapshot_ts is not None:
                missing = frozenset()
            if last:
                self._destination.rest()
                return progress

    def _begun(self) -> Progress:
        settings = self._settings
        progress = self._destination.load()
        if progress is None:
            return Progress(
                deployment=settings.deployment,
                mode=settings.mode,
                selection=settings.selection,
                position=settings.api.beginning(),
            )
        _check_same(progress, settings)
        columns_changed = progress.selection.exclude_columns != settings.selection.exclude_columns
        progress = msgspec.structs.replace(progress, selection=settings.selection)
        if columns_changed:  # Convex does not send old rows again for another choice of columns
            progress = records.restarted(progress, settings.api.beginning())
        return progress

    def _new_pager(self, progress: Progress) -> Pager:
        settings = self._settings
        return Pager(
            self._source,
            settings.selection,
            self._clock,
            position=progress.position or settings.api.beginning(),
            api=settings.api,
            page_size=settings.page_size,
            retrying=self._retrying,
        )

    def _restarted(self, progress: Progress, pager: Pager) -> Progress:
        pager.position = self._settings.api.beginning()
        return records.restarted(progress, pager.position)

    def _missing(self, progress: Progress, pager: Pager) -> frozenset[TableRef]:
        """The tables that we hold and the deployment has no more, where pages do not tell."""
        if pager.ours or not progress.tables:
            return frozenset()
        listed = pager.tables()
        if listed is None:
            return frozenset()
        return frozenset(table.ref for table in progress.tables) - listed

    def _save(self, progress: Progress, page: Step, missing: frozenset[TableRef]) -> Progress:
        planned = planner.planned(
            progress,
            page,
            decoding.decode,
            now_ms=self._clock.now_ms(),
            on_drop=self._settings.on_drop,
            missing=missing,
        )
        self._notice("decoded")
        self._destination.apply(planned)
        self._progress = planned.progress
        self._watching(planned.progress)
        return planned.progress

    def _enough(self, pages: int, began: float) -> bool:
        settings = self._settings
        if settings.max_pages is not None and pages >= settings.max_pages:
            return True
        return (
            settings.max_seconds is not None
            and self._clock.monotonic() - began >= settings.max_seconds
        )


def _ahead(pager: Pager, wait_s: float = 0.0) -> Future[Step | Expired]:
    """The next page, on its way. Nobody has to wait for it: a process may end meanwhile."""
    coming: Future[Step | Expired] = Future()

    def ask() -> None:
        try:
            coming.set_result(pager.next(wait_s))
        except BaseException as error:
            coming.set_exception(error)

    Thread(target=ask, name=PAGE_THREAD, daemon=True).start()
    return coming


def _check_same(progress: Progress, settings: Settings) -> None:
    if progress.deployment != settings.deployment:
        raise SyncRefused(
            "other_deployment",
            f"The destination holds the tables of {progress.deployment}",
            f"Give another destination for {settings.deployment}.",
        )
    if progress.mode is not settings.mode:
        raise SyncRefused(
            "other_mode",
            f"The destination was begun in the mode {progress.mode.value!r}",
            f"Give another destination for the mode {settings.mode.value!r}.",
        )
