"""The lane that carries what functions reported: errors and exposures.

Owns which of them are sent, and by whom an error was reported first. Never sees the app's code. One
invariant: an exposure and an error are admitted once, whoever reports them and however often, as
far as the bounded memory of them reaches.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from posthog_convex import events
from posthog_convex.component import errors, reported
from posthog_convex.component.batches import batch_request, checked_text, classify_batch
from posthog_convex.component.once import Once
from posthog_convex.component.reported import Seen, exception_of, exposure_of, is_for
from posthog_convex.component.settings import captures_uncaught
from posthog_convex.events import Event, Exposure, flag_called
from pyconvex.delivery import Request, Response, RunLogLane, Verdict
from pyconvex.runlog import ExceptionReport
from pyconvex.runlog.entries import RunEntry

#: The host's word for an error that left its function.
UNCAUGHT = "exception"


class ReportLane(RunLogLane):
    """Carries errors and exposures to PostHog.

    Uncaught errors of every function of the deployment are sent, unless
    `POSTHOG_DISABLE_EXCEPTION_AUTOCAPTURE` is set. An error that a function reported by hand before
    is that report.
    """

    reads = (UNCAUGHT, reported.EXCEPTION, reported.EXPOSURE, reported.EXPOSED)
    needs = ("POSTHOG_PROJECT_TOKEN",)

    def __init__(self) -> None:
        self._once = Once()

    def admit(self, entry: RunEntry) -> bool:
        match entry.kind:
            case "exception":
                return self._first_of_error(entry.value.id, entry)
            case reported.EXCEPTION:
                by_hand = exception_of(entry.value)
                if by_hand is None or not is_for(self.component, entry.component, by_hand.mount):
                    return False
                return self._first_of_error(by_hand.error, entry) and by_hand.event is not None
            case _:
                return self._admit_exposure(entry)

    def encode(self, entries: Sequence[RunEntry], env: Mapping[str, str]) -> Request | None:
        found = [text for entry in entries for text in event_texts(entry, env)]
        return batch_request(found, env) if found else None

    def classify(self, response: Response) -> Verdict:
        return classify_batch(response)

    def _first_of_error(self, error: str, entry: RunEntry) -> bool:
        return self._once.take(f"error {error}", by=entry.id)

    def _admit_exposure(self, entry: RunEntry) -> bool:
        exposure = exposure_of(entry.value)
        if exposure is None or not is_for(self.component, entry.component, exposure.mount):
            return False
        if entry.kind == reported.EXPOSURE:
            return self._once.take(exposure.slot, by=entry.id)
        if not entry.run.failed:  # else its own event was rolled back
            self._once.take(exposure.slot, by=entry.id)
        return False


def event_texts(entry: RunEntry, env: Mapping[str, str]) -> Iterator[str]:
    """The event's JSON text, if there is one to send."""
    match entry.kind:
        case "exception":
            if captures_uncaught(env) and isinstance(entry.value, ExceptionReport):
                yield events.exception_text(errors.uncaught(entry.value, entry.run))
        case reported.EXCEPTION:
            by_hand = exception_of(entry.value)
            if by_hand is not None and by_hand.event is not None:
                event = json.loads(by_hand.event)
                for_caller = by_hand.for_caller
                made = errors.reported(event, entry.run, for_caller=for_caller)
                yield events.exception_text(made)
        case _:
            exposure = exposure_of(entry.value)
            if exposure is not None and exposure.event is not None:
                yield checked_text(exposure.event)
            elif exposure is not None and exposure.seen is not None:
                event = _event_of(exposure.seen, entry.run.ts_ms)
                yield events.exposure_text(events.in_session(event, entry.run.report.session_id))


def _event_of(seen: Seen, now_ms: float) -> Event:
    """The event of an exposure that no hook had to see."""
    details = msgspec.structs.asdict(seen)
    exposure = Exposure(**{name: details.pop(name) for name in Exposure.__struct_fields__})
    return flag_called(exposure, now_ms=now_ms, **details)
