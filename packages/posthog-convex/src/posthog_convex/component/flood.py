"""How many of the errors that leave functions are sent.

Owns that decision, remembers it, and says how many errors it left out. Never counts what a function
reported by hand. One invariant: asked again about the same error, for a second attempt, it answers
the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

from posthog_convex.component.settings import DEFAULT_ERRORS_PER_MINUTE, errors_per_minute
from posthog_convex.events import Event
from posthog_convex.exceptions import Budget, told_of_left_out
from pyconvex.runlog import RunRecord

#: Of one kind that was quiet, as PostHog's Python SDK has it: one function's errors are those of
#: many users.
AT_ONCE = 50
#: Errors that it was decided about and that may be asked for again: a batch has fewer.
_REMEMBERED = 10_000
#: A kind of which none comes any more tells of its last ones in the log alone, so within a tenth.
_TOLD_AT_POWERS_OF = 10


class Flood:
    """Bounds errors of one kind: of one type, out of one function of the app.

    Time is that of the runs, so what waited for PostHog to come back counts as it happened.
    """

    def __init__(self, log: Callable[[str, str], None]) -> None:
        self._log = log
        self._per_minute: float | None = DEFAULT_ERRORS_PER_MINUTE
        self._budget = self._new_budget()
        #: What was decided, by the entry's id.
        self._decided: OrderedDict[str, int | None] = OrderedDict()
        #: Of each kind, since one was sent last.
        self._left_out: OrderedDict[str, int] = OrderedDict()
        self._complaint: str | None = None

    def admitted(
        self, id_: str, event: Event, run: RunRecord, env: Mapping[str, str]
    ) -> Event | None:
        """The event, which says how many were left out before it; None for one that is."""
        self._use(env)
        if id_ not in self._decided:
            self._decided[id_] = self._decide(event, run)
            if len(self._decided) > _REMEMBERED:
                self._decided.popitem(last=False)
        before = self._decided[id_]
        return None if before is None else told_of_left_out(event, before)

    def _decide(self, event: Event, run: RunRecord) -> int | None:
        kind = kind_of(event, run)
        before = self._budget.decide(str(event["uuid"]), kind, run.ts_ms / 1000)
        missed = self._left_out.pop(kind, 0) + 1
        if before is not None:
            return before
        self._left_out[kind] = missed
        if len(self._left_out) > _REMEMBERED:
            self._left_out.popitem(last=False)
        if _is_power(missed):
            self._log("warn", _said(kind, missed, self._per_minute))
        return None

    def _use(self, env: Mapping[str, str]) -> None:
        per_minute, complaint = errors_per_minute(env)
        if complaint is not None and complaint != self._complaint:
            self._log("warn", complaint)
        self._complaint = complaint
        if per_minute != self._per_minute:
            self._per_minute = per_minute
            self._budget = self._new_budget()

    def _new_budget(self) -> Budget:
        most = None if self._per_minute is None else max(1, min(AT_ONCE, int(self._per_minute)))
        return Budget(per_minute=self._per_minute, at_once=most)


def kind_of(event: Event, run: RunRecord) -> str:
    """What errors of one kind have in common.

    Without a frame of the app the function may not exist, and its name be anybody's: there are as
    many kinds as types then.
    """
    entries = event["properties"].get("$exception_list") or [{}]
    own = any(
        frame.get("in_app")
        for entry in entries
        for frame in (entry.get("stacktrace") or {}).get("frames") or ()
    )
    return f"{entries[0].get('type')} in {run.path}" if own else str(entries[0].get("type"))


def _is_power(number: int) -> bool:
    while number % _TOLD_AT_POWERS_OF == 0:
        number //= _TOLD_AT_POWERS_OF
    return number == 1


def _said(kind: str, left_out: int, per_minute: float | None) -> str:
    return (
        f"{left_out} error{'s' if left_out > 1 else ''} ({kind}) not sent, beyond "
        f"{per_minute:g} of a kind a minute; the next one that is sent tells how many, and "
        "POSTHOG_EXCEPTION_AUTOCAPTURE_PER_MINUTE sets the number"
    )
