"""A person's timeline in PostHog Local: waiting for it, checking it, printing it.

Owns what counts as right: entries of one step in any order, steps in their order, none doubled.
Never asks anything but PostHog Local. One invariant: an entry that no step expects fails the visit,
but for those that posthog-js adds by itself.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from rich.table import Table

from demo.failure import DemoError
from posthog_local.testing import PostHogLocal

#: One entry, as PostHog Local's control API gives it.
Entry: TypeAlias = Mapping[str, Any]

#: What posthog-js sends by itself: how much of it comes depends on the browser's pace.
_BY_ITSELF = frozenset({"$autocapture", "$pageleave", "$rageclick", "$set", "$web_vitals"})
#: Between two looks at the timeline, in seconds.
_PAUSE_S = 0.25


@dataclass(frozen=True)
class Expected:
    """An entry that should be on the timeline; step 0 stands for any number of times, any time."""

    name: str
    step: int


def name_of(entry: Entry) -> str:
    """The event's name, or the kind of an entry that is no event."""
    return str(entry.get("event") or entry["kind"])


def wait_for(
    local: PostHogLocal, person: str, expected: Sequence[Expected], timeout_s: float
) -> list[Entry]:
    """The timeline once everything that is expected has come; `DemoError` says what has not."""
    wanted = Counter(one.name for one in expected)
    deadline = time.monotonic() + timeout_s
    while True:
        entries = local.timeline(person)
        missing = wanted - Counter(name_of(entry) for entry in entries)
        if not missing:
            return list(entries)
        if time.monotonic() > deadline:
            names = ", ".join(sorted(missing))
            raise DemoError(f"{names} of {person} never came to PostHog Local.")
        time.sleep(_PAUSE_S)


def check(entries: Sequence[Entry], expected: Sequence[Expected]) -> None:
    """What a person may rely on; raises `DemoError` where the timeline is another.

    >>> seen = [{"kind": "event", "event": "opened"}, {"kind": "event", "event": "bought"}]
    >>> check(seen, [Expected("opened", step=1), Expected("bought", step=2)])
    >>> check(seen, [Expected("bought", step=1), Expected("opened", step=2)])
    Traceback (most recent call last):
    demo.failure.DemoError: The timeline should be bought, opened, but it is opened, bought.
    """
    sometime = {one.name for one in expected if one.step == 0}
    seen = [name_of(entry) for entry in entries if name_of(entry) not in sometime | _BY_ITSELF]
    steps = [
        sorted(one.name for one in expected if one.step == step)
        for step in sorted({one.step for one in expected} - {0})
    ]
    left = list(seen)
    for step in steps:
        if sorted(left[: len(step)]) != step:
            break
        del left[: len(step)]
    else:
        if not left:
            return
    should = ", ".join(name for step in steps for name in step)
    raise DemoError(f"The timeline should be {should}, but it is {', '.join(seen)}.")


def table(person: str, entries: Sequence[Entry]) -> Table:
    """The timeline as a person reads it."""
    drawn = Table(title=f"Timeline of {person} in PostHog Local", title_justify="left")
    for column in ("at", "what", "from", "properties"):
        drawn.add_column(column, overflow="fold")
    for entry in entries:
        drawn.add_row(
            entry["at"][11:23], name_of(entry), str(entry.get("source") or ""), _told(entry)
        )
    return drawn


def _told(entry: Entry) -> str:
    """The app's own properties; PostHog's begin with `$`."""
    properties = entry.get("properties", {})
    own = {name: value for name, value in properties.items() if not name.startswith("$")}
    return json.dumps(own or properties.get("$set") or {}, sort_keys=True)
