"""What one action reports, while it runs and at its end.

Owns its lines, items and errors, and when lines and items are told. Never waits for the server. One
invariant: everything is told once, early or in the report at the end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter

from pyconvex.runlog import LogLine, LogLines, Report, Usage
from pyconvex.runlog.exceptions import Describer, ErrorIds
from pyconvex.runlog.hooks import Whose
from pyconvex.runlog.report import Item, Items
from pyconvex.runlog.traces import TraceContext
from pyconvex.runtime.app.image import AppImage
from pyconvex.runtime.processes import messages
from pyconvex.runtime.processes.black_box import BlackBox
from pyconvex.runtime.running.errors import describer_for, encode_exception, is_callers_fault
from pyconvex.runtime.running.last_words import Notes
from pyconvex.runtime.running.person import Person
from pyconvex.runtime.running.tracing import Tracing, trace_within

#: How long lines gather before they are told, in seconds: short actions tell them at their end.
TELL_AFTER_S = 0.02
#: The same of items, whose person is the one that is known when they are told: most actions know
#: him by then, and the short ones tell all at their end.
TELL_ITEMS_AFTER_S = 0.25


class Reporting:
    """What one action reports."""

    def __init__(
        self,
        image: AppImage,
        person: Person,
        start: messages.Start,
        tell: Callable[[tuple[LogLine, ...], tuple[Item, ...]], None],
        box: BlackBox | None = None,
    ) -> None:
        self.person = person
        self._notes = Notes(box, start.run_id, person, personal=True) if box is not None else None
        self.log = LogLines(lambda: time.time() * 1000, self)
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        #: Lines that the server has not been told yet.
        self._untold: list[LogLine] = []
        self._lines_are_due = False
        self.items = Items(self._on_item, self._notes)
        self._items_are_due = False
        self.errors = ErrorIds(start.execution_id)
        self.describer: Describer = describer_for(self.errors, image)
        self._start = start
        #: None without hooks.
        self.tracing = (
            Tracing(
                image.hooks,
                start,
                self.items,
                time.time_ns(),
                time.time_ns,
                self.describer.describe,
                lambda: Whose(self.user_id(), person.session_id),
            )
            if image.hooks
            else None
        )
        self._began = perf_counter()

    @contextmanager
    def traced(self, path: str, component: str, env: Mapping[str, str]) -> Iterator[None]:
        """The handler runs inside the block."""
        if self.tracing is None:
            yield
            return
        with self.tracing.call(path, self._start.kind, component, None, env.get):
            yield

    def trace_within(self) -> TraceContext:
        """Where something is that the action asks of others right now."""
        return trace_within(self._start, self.tracing, self.user_id())

    def user_id(self) -> str | None:
        """Whose call it is, as is known by now."""
        return self.person.on_record(personal=True)

    def report(self, raised: BaseException | None) -> Report:
        """All of it, at the end."""
        self.log.lines()  # what was printed without a line break is a line now
        lines = self._take_lines()
        # Several actions share the isolate's processor, so what one used of it can't be told.
        return Report(
            Usage(wall_ms=(perf_counter() - self._began) * 1000),
            lines,
            (*self.items.take_soon(), *self.items.items),
            encode_exception(self.describer, raised),
            self.user_id(),
            self.items.dropped,
            is_callers_fault(raised),
            self.person.session_id,
        )

    def tell_rest(self) -> None:
        """Tell what there is: the action does not come to its end."""
        self.log.lines()  # what was printed without a line break is a line now
        lines = self._take_lines()
        items = (*self.items.take_soon(), *self.items.items)
        if lines or items:
            self._tell(lines, items)

    def over(self) -> None:
        """The server has what the action ended with."""
        if self._notes is not None:
            self._notes.over()

    def line(self, line: LogLine, printer: int) -> None:
        """A line has come (`pyconvex.runlog.lines.LinesListener`)."""
        if self._notes is not None:
            self._notes.line(line, printer)
        self._untold.append(line)
        if not self._lines_are_due:
            self._lines_are_due = True
            # Perhaps from a thread that the action started.
            self._loop.call_soon_threadsafe(self._loop.call_later, TELL_AFTER_S, self._tell_lines)

    def piece(self, path: str, component: str, printer: int, text: str) -> None:
        """A part of a line has come."""
        if self._notes is not None:
            self._notes.piece(path, component, printer, text)

    def _on_item(self) -> None:
        if not self._items_are_due:
            self._items_are_due = True
            later = self._loop.call_later
            self._loop.call_soon_threadsafe(later, TELL_ITEMS_AFTER_S, self._tell_items)

    def _tell_lines(self) -> None:
        self._lines_are_due = False
        lines = self._take_lines()
        if lines:
            self._tell(lines, ())

    def _take_lines(self) -> tuple[LogLine, ...]:
        taken = tuple(self._untold)
        del self._untold[: len(taken)]  # a thread may be adding to it
        return taken

    def _tell_items(self) -> None:
        self._items_are_due = False
        items = self.items.take_soon()
        if items:
            self._tell((), items)
