"""The stream to PostHog Error Tracking.

Owns which errors are sent, and what they say. Never includes arguments. One invariant: an error has
the uuid, time and person that the component's own report of it has, so that PostHog counts both as
one, whoever sends it first.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from posthog_convex import events
from posthog_convex.component import errors, reported
from posthog_convex.component.batches import batch_to, classify_batch
from posthog_convex.component.reported import ReportedException
from posthog_convex.events import Event
from posthog_convex.exceptions import Budget, kind_of, told_of_left_out
from posthog_convex.sinks.project import (
    API_KEY,
    HOST,
    destination_of,
    validate_project,
    verify_project,
)
from pyconvex.log_streams import (
    Config,
    ConfigRefused,
    Deployment,
    Field,
    Limits,
    Request,
    Response,
    Sink,
    StreamEvent,
    Transport,
    Verdict,
)
from pyconvex.runlog.entries import RunEntry

SAMPLE_RATE = Field(
    name="sampleRate",
    label="Sample rate",
    kind="number",
    default=1,
    help="The share of errors that is sent, from 0 to 1.",
    error_code="InvalidSampleRate",
)
PER_MINUTE = Field(
    name="maxPerMinute",
    label="Errors of one kind a minute",
    kind="number",
    help="Left out, all are sent. An error that is sent says how many of its kind were left out.",
    error_code="InvalidMaxPerMinute",
)
#: Errors that it was decided about and that may be asked for again: a batch has fewer.
_REMEMBERED = 10_000


class PostHogErrorTrackingSink(Sink):
    """Sends errors that left their functions to PostHog Error Tracking."""

    stream_type = "postHogErrorTracking"
    title = "PostHog Error Tracking"
    summary = "Reports errors that leave functions, with frames, causes, person and trace."
    fields = (API_KEY, HOST, SAMPLE_RATE, PER_MINUTE)
    topics = frozenset({"exception"})
    #: An error that a function reported by hand before is that report, also here.
    reads = frozenset({reported.EXCEPTION})
    #: An error has some kilobytes; PostHog takes 20 MB in one request.
    limits = Limits(max_rows=100, max_bytes=4 * 1024 * 1024)

    def __init__(self) -> None:
        self._budget = Budget()
        self._budget_of: tuple[float, int | None] = (1.0, None)
        #: What was decided, by the event's id: a batch may be made again.
        self._decided: OrderedDict[str, int | None] = OrderedDict()
        #: What functions reported by hand, by the error's id.
        self._by_hand: OrderedDict[str, ReportedException] = OrderedDict()

    def validate(self, config: Config) -> None:
        validate_project(config)
        rate, per_minute = config.get(SAMPLE_RATE.name), config.get(PER_MINUTE.name)
        if rate is not None and not 0 <= float(rate) <= 1:
            raise ConfigRefused(SAMPLE_RATE.error_code, "sampleRate must be between 0 and 1.")
        if per_minute is not None and (float(per_minute) < 1 or float(per_minute) % 1):
            said = "maxPerMinute must be a whole number of at least 1."
            raise ConfigRefused(PER_MINUTE.error_code, said)

    def note(self, entry: RunEntry) -> None:
        by_hand = reported.exception_of(entry.value)
        if by_hand is not None:
            self._by_hand.setdefault(by_hand.error, by_hand)
            if len(self._by_hand) > _REMEMBERED:
                self._by_hand.popitem(last=False)

    def encode(
        self, events_: Sequence[StreamEvent], config: Config, deployment: Deployment
    ) -> Request | None:
        self._use_budget(config)
        texts = [
            events.exception_text(made)
            for each in events_
            if (made := self._event(each, deployment)) is not None
        ]
        return batch_to(destination_of(config), texts) if texts else None

    def classify(self, response: Response) -> Verdict:
        return classify_batch(response, token="apiKey", host="host")  # noqa: S106  # names

    async def verify(self, config: Config, deployment: Deployment, transport: Transport) -> None:
        await verify_project(config, transport)

    def _event(self, of: StreamEvent, deployment: Deployment) -> Event | None:
        made = self._report(of)
        if made is None:
            return None
        left_out = self._left_out_before(of, made)
        if left_out is None:
            return None
        named: dict[str, Any] = {"convex_deployment": deployment.deployment_name}
        if deployment.deployment_type:
            named["convex_deployment_type"] = deployment.deployment_type
        made = told_of_left_out(made, left_out)
        return made | {"properties": named | made["properties"]}

    def _report(self, of: StreamEvent) -> Event | None:
        """The error's event; None where the app's hook dropped what was reported by hand."""
        if of.exception is None or of.run is None:
            return None
        by_hand = self._by_hand.get(of.exception.id)
        if by_hand is None:
            return errors.uncaught(of.exception, of.run)
        if by_hand.event is None:
            return None
        made = json.loads(by_hand.event)
        return errors.reported(made, of.run, by_hand)

    def _left_out_before(self, of: StreamEvent, made: Event) -> int | None:
        """How many of the kind were left out before this one; None when this one is, too."""
        if of.id not in self._decided:
            kind = kind_of(made["properties"]["$exception_list"])
            # By the time of the run: what waited for PostHog to come back counts as it happened.
            self._decided[of.id] = self._budget.decide(made["uuid"], kind, of.ts_ms / 1000)
            if len(self._decided) > _REMEMBERED:
                self._decided.popitem(last=False)
        return self._decided[of.id]

    def _use_budget(self, config: Config) -> None:
        rate, per_minute = config.get(SAMPLE_RATE.name), config.get(PER_MINUTE.name)
        wanted = (
            1.0 if rate is None else float(rate),
            None if per_minute is None else int(per_minute),
        )
        if wanted != self._budget_of:
            self._budget = Budget(sample_rate=wanted[0], per_minute=wanted[1])
            self._budget_of = wanted
