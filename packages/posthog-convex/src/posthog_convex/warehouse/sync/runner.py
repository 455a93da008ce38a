"""Who runs a sync: whoever calls the command, or the host, which is asked.

Owns the question to the host and the words for its answer. Never starts a sync. Invariant: a host
that does not answer is told of, and stops nothing.
"""

from __future__ import annotations

import msgspec

from posthog_convex.warehouse.source.deployment import Source
from posthog_convex.warehouse.source.steps import Request

#: What the host calls the sync that it runs.
COMPANION = "posthog_sync"
_STATUS = Request("GET", "/api/pyconvex/status")


class _Companion(msgspec.Struct):
    name: str
    state: str
    reason: str = ""
    pid: int | None = None
    last_line: str = msgspec.field(default="", name="lastLine")


class _Status(msgspec.Struct):
    companions: tuple[_Companion, ...] = ()


class Runner(msgspec.Struct, frozen=True):
    """In a line, and what needs attention."""

    line: str
    warning: str | None = None


def runner_of(schedule: str | None, source: Source | None) -> Runner:
    """Who runs it; `source` is None where there is no key to ask the host with."""
    if schedule is None:
        return Runner("when you call it; `schedule` in [host] would have the host do it")
    how = "in the host, watching" if schedule == "watch" else f"in the host, every {schedule}"
    if source is None:
        return Runner(f"{how}; without a key it can't be asked how that goes")
    answer = source.ask(_STATUS)
    if answer.status == 0:
        return Runner(f"{how}, while that runs; it does not answer now")
    try:
        found = msgspec.json.decode(answer.body, type=_Status).companions if answer.body else ()
    except msgspec.MsgspecError:
        found = ()
    mine = next((each for each in found if each.name == COMPANION), None)
    if answer.status != 200 or mine is None:
        return Runner(
            f"{how}",
            "this deployment does not run it: it answers, and knows of no such companion. A host of"
            " pyconvex does, with posthog-convex in its environment and no --no-companions",
        )
    state = mine.state if mine.pid is None else f"{mine.state} as process {mine.pid}"
    if mine.state in ("running", "waiting"):
        return Runner(f"{how}: {state}")
    why = f"the host does not sync ({mine.state}): {mine.reason}"
    return Runner(how, f"{why}; it said last: {mine.last_line}" if mine.last_line else why)
