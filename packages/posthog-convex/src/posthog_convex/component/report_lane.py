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
from posthog_convex.component.flood import Flood
from posthog_convex.component.once import Once
from posthog_convex.component.reported import Seen, exception_of, exposure_of, is_for
from posthog_convex.component.settings import captures_uncaught, misplaced_token
from posthog_convex.events import Event, Exposure, flag_called
from pyconvex.delivery import Request, Response, RunLogLane, Verdict
from pyconvex.runlog import ExceptionReport
from pyconvex.runlog.entries import RunEntry

#: The host's word for an error that left its function.
UNCAUGHT = "exception"


class ReportLane(RunLogLane):
    """Carries errors and exposures to PostHog.

    Uncaught errors of every function of the deployment are sent, unless
    `POSTHOG_DISABLE_EXCEPTION_AUTOCAPTURE` is set, and so many of one kind a minute. An error that
    a function reported by hand before is that report.
    """

    reads = (UNCAUGHT, reported.EXCEPTION, reported.EXPOSURE, reported.EXPOSED)
    needs = ("POSTHOG_PROJECT_TOKEN",)

    def __init__(self) -> None:
        self._once = Once()
        self._flood = Flood(lambda level, text: self.log(level, text))

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

    def unfit(self, env: Mapping[str, str]) -> str | None:
        return misplaced_token(env)

    def encode(self, entries: Sequence[RunEntry], env: Mapping[str, str]) -> Request | None:
        found = [text for entry in entries for text in self._texts(entry, env)]
        return batch_request(found, env) if found else None

    def classify(self, response: Response) -> Verdict:
        return classify_batch(response)

    def _texts(self, entry: RunEntry, env: Mapping[str, str]) -> Iterator[str]:
        if not _is_uncaught(entry):
            yield from event_texts(entry, env)
            return
        for event in error_events(entry, env):
            kept = self._flood.admitted(entry.id, event, entry.run, env)
            if kept is not None:
                yield events.exception_text(kept)

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
    if entry.kind in (UNCAUGHT, reported.EXCEPTION):
        yield from map(events.exception_text, error_events(entry, env))
        return
    exposure, session_id = exposure_of(entry.value), entry.run.report.session_id
    if exposure is not None and exposure.event is not None:
        text = checked_text(exposure.event)
        if session_id is not None and not exposure.with_session:
            text = events.exposure_text(events.in_session(json.loads(text), session_id))
        yield text
    elif exposure is not None and exposure.seen is not None:
        event = _event_of(exposure.seen, entry.run.ts_ms)
        yield events.exposure_text(events.in_session(event, session_id))


def error_events(entry: RunEntry, env: Mapping[str, str]) -> Iterator[Event]:
    """The event of an error, if there is one to send."""
    if _is_uncaught(entry) and not captures_uncaught(env):
        return
    if isinstance(entry.value, ExceptionReport):
        yield errors.uncaught(entry.value, entry.run)
        return
    told = exception_of(entry.value)
    if told is not None and told.event is not None:
        event = json.loads(told.event)
        yield errors.reported(event, entry.run, told)


def _is_uncaught(entry: RunEntry) -> bool:
    """Whether an error left its function, and nobody reported it by hand."""
    if entry.kind == reported.EXCEPTION:
        told = exception_of(entry.value)
        return told is not None and told.uncaught
    return entry.kind == UNCAUGHT


def _event_of(seen: Seen, now_ms: float) -> Event:
    """The event of an exposure that no hook had to see."""
    details = msgspec.structs.asdict(seen)
    exposure = Exposure(**{name: details.pop(name) for name in Exposure.__struct_fields__})
    return flag_called(exposure, now_ms=now_ms, **details)
