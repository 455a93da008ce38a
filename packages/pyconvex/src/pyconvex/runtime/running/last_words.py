"""What a run told before its isolate ended without a word.

Owns what a run writes into its isolate's black box as it goes, and making the report of that. Never
decides when it is needed. One invariant: what the server was told before is not in the report
again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from pyconvex.runlog import LogLine, LogLines, Report
from pyconvex.runlog.lines import MAX_LINES
from pyconvex.runlog.report import Item
from pyconvex.runtime.processes import messages
from pyconvex.runtime.processes.black_box import BlackBox, Contents
from pyconvex.runtime.running.person import Person


class Kind:
    """What an entry is."""

    LINE: Final = 1
    #: A piece of what was printed without a line break, with path, component and printer.
    PIECE: Final = 2
    #: A line that pieces began, with its printer.
    PRINTED: Final = 3
    #: An item that is told while an action runs, and one that is told at its end.
    SOON: Final = 4
    ITEM: Final = 5
    #: Whose the run is from here on.
    WHOSE: Final = 6


_encode = msgspec.msgpack.Encoder().encode
_decode_line = msgspec.msgpack.Decoder(LogLine).decode
_decode_printed = msgspec.msgpack.Decoder(tuple[int, LogLine]).decode
_decode_item = msgspec.msgpack.Decoder(Item).decode
_decode_whose = msgspec.msgpack.Decoder(tuple[str | None, str | None]).decode


class Notes:
    """Writes down what one run tells, as `LogLines` and `Items` hear of it.

    `personal` says that the caller is on record also when the function doesn't look.
    """

    __slots__ = ("_box", "_over", "_person", "_personal", "_run_id", "_seen")

    def __init__(self, box: BlackBox, run_id: int, person: Person, *, personal: bool) -> None:
        self._box = box
        self._run_id = run_id
        self._person = person
        self._personal = personal
        #: What was known of the person when it was last written down.
        self._seen = -1
        self._over = False

    def line(self, line: LogLine, printer: int) -> None:
        """A line has come."""
        if printer:
            self._write(Kind.PRINTED, _encode((printer, line)))
        else:
            self._write(Kind.LINE, _encode(line))

    def piece(self, path: str, component: str, printer: int, text: str) -> None:
        """Something was printed that ends no line."""
        piece = f"{path}\0{component}\0{printer}\0{text}"
        self._write(Kind.PIECE, piece.encode(errors="replace"))

    def item(self, item: Item, *, soon: bool) -> None:
        """An item has come."""
        self._write(Kind.SOON if soon else Kind.ITEM, _encode(item))

    def over(self) -> None:
        """The server has the run's report; what still comes is no part of it."""
        self._over = True
        if self._seen >= 0:
            self._box.forget(self._run_id)

    def _write(self, kind: int, body: bytes) -> None:
        if self._over:
            return
        person = self._person
        if person.changes != self._seen:
            if self._seen < 0:
                self._box.begin(self._run_id)
            self._seen = person.changes
            whose = person.known(personal=self._personal), person.session_id
            self._box.append(self._run_id, Kind.WHOSE, _encode(whose))
        self._box.append(self._run_id, kind, body)


def last_words(
    contents: Contents, start: messages.Start, *, lines_told: int = 0, items_told: int = 0
) -> Report:
    """What the black box has of a run, but for so many lines and items that the server knows."""
    heard = _Heard(start.now_ms)
    for entry in contents.entries:
        if entry.run_id == start.run_id:
            try:
                heard.take(entry.kind, entry.body)
            except (msgspec.DecodeError, ValueError):  # by whatever wrote over it
                continue
    return heard.report(contents.left_out, lines_told, items_told)


class _Heard:
    def __init__(self, ts_ms: float) -> None:
        #: When the newest line came.
        self._ts_ms = ts_ms
        self._lines: list[LogLine] = []
        self._soon: list[Item] = []
        self._items: list[Item] = []
        #: What was printed and not ended by a line break: by path, component and printer.
        self._open: dict[tuple[str, str, str], str] = {}
        self._user_id: str | None = None
        self._session_id: str | None = None

    def take(self, kind: int, body: bytes) -> None:
        match kind:
            case Kind.LINE:
                self._add(_decode_line(body))
            case Kind.PRINTED:
                printer, line = _decode_printed(body)
                self._add(line)
                self._open.pop((line.path, line.component, str(printer)), None)
            case Kind.PIECE:
                path, component, number, text = body.decode().split("\0", 3)
                of = path, component, number
                self._open[of] = self._open.pop(of, "") + text
            case Kind.SOON:
                self._soon.append(_decode_item(body))
            case Kind.ITEM:
                self._items.append(_decode_item(body))
            case Kind.WHOSE:
                self._user_id, self._session_id = _decode_whose(body)

    def _add(self, line: LogLine) -> None:
        self._lines.append(line)
        self._ts_ms = line.ts_ms

    def report(self, left_out: int, lines_told: int, items_told: int) -> Report:
        return Report(
            lines=(*self._lines[lines_told:], *self._unfinished(left_out)),
            items=(*self._soon, *self._items)[items_told:],
            user_id=self._user_id,
            session_id=self._session_id,
        )

    def _unfinished(self, left_out: int) -> Iterable[LogLine]:
        log = LogLines(lambda: self._ts_ms)
        room = MAX_LINES - len(self._lines)
        for (path, component, _), text in list(self._open.items())[:room]:
            log.within(path, component).write(text)
        if left_out:
            log.warn_of_limit(
                "RunCutShort",
                f"The function's process ended before this run did: {left_out} more lines and "
                "reports that its runs told are left out here, because they found no room.",
            )
        return log.lines()
