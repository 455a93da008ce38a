"""A failed execution as an error for PostHog.

Owns the event that is made of `function_execution` with an error. Never sees the error itself: the
webhook has its text. One invariant: the same execution makes the same uuid and time, so what is
sent twice is one error.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from posthog_convex import events
from posthog_convex.events import Stamp
from posthog_convex.exceptions import About, Description, described_by_text
from posthog_convex.exceptions.stacktext import MEANT
from posthog_convex.logs import Deployment, Event, Function, trace_id_of

_NAMESPACE = uuid.UUID("4d0f5a3e-5a0b-4f5c-9e07-6a1f2b8f3c44")
UNKNOWN = "no reason given"


def failure(event: Event) -> tuple[str, Description] | None:
    """The uuid and description of the error that an event tells of; None for other events."""
    if not event.failed:
        return None
    text = event.error_message or UNKNOWN
    return _uuid(event, text), described_by_text(text)


def error_event(event: Event, error_uuid: str, entries: Description) -> Mapping[str, Any]:
    """The event for PostHog. It is nobody's: errors of one request have one id in common."""
    function = event.function or Function()
    deployment = event.convex or Deployment()
    about = About(
        function=function.path,
        function_type=function.type,
        request_id=function.request_id,
        component=function.component_path,
        run_reason=event.run_reason,
        trace_id=trace_id_of(function.request_id),
        deployment=deployment.deployment_name,
        deployment_type=deployment.deployment_type,
        # Its message is its data, as JSON.
        data=entries[0]["value"] if entries[0]["type"] == MEANT else None,
    )
    made = events.exception(
        entries,
        distinct_id=function.request_id or None,
        stamp=Stamp.of(error_uuid, event.timestamp),
        properties=about.properties() | {"$process_person_profile": False},
    )
    return made


def _uuid(event: Event, text: str) -> str:
    function = event.function or Function()
    deployment = event.convex or Deployment()
    parts = (
        deployment.deployment_name,
        function.request_id,
        function.component_path or "",
        function.path,
        f"{event.timestamp:g}" if isinstance(event.timestamp, float) else str(event.timestamp),
        text,
    )
    return str(uuid.uuid5(_NAMESPACE, "\n".join(parts)))
