"""When an action's lines are told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from pyconvex.identity import ANONYMOUS
from pyconvex.runlog import LogLine
from pyconvex.runlog.report import Item
from pyconvex.runtime.app.image import AppImage
from pyconvex.runtime.app.spec import AppSpec
from pyconvex.runtime.processes import messages
from pyconvex.runtime.running.person import Person
from pyconvex.runtime.running.reporting import Reporting

START = messages.Start(
    1, "action", "", "lib:act", b"{}", b"", "request", 0.0, b"", False, False, b"", None
)


class Untold(list[LogLine]):
    """Lines to which a thread adds one just when they are taken."""

    late: LogLine | None = LogLine("LOG", "late", 0.0)

    def __iter__(self) -> Iterator[LogLine]:
        taken = list(super().__iter__())
        if self.late is not None:
            self.append(self.late)
            self.late = None
        return iter(taken)


def test_a_line_that_a_thread_prints_while_others_are_told_is_told_next() -> None:
    told: list[str] = []

    def tell(lines: tuple[LogLine, ...], items: tuple[Item, ...]) -> None:
        told.extend(line.text for line in lines)

    async def main() -> None:
        image = AppImage({}, AppSpec([]))
        reporting = Reporting(image, Person(ANONYMOUS, None), START, tell)
        reporting._untold = Untold()
        reporting.log.add("log", "early")
        reporting._tell_lines()
        assert told == ["early"]
        assert [line.text for line in reporting.report(None).lines] == ["late"]

    asyncio.run(main())
