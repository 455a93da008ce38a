"""PostHog events, built and nothing else.

Owns the shape of each kind of event and what a property may be. Never sends, stores or reads a
clock: uuid and time are arguments. One invariant: what a builder returns is complete, and its JSON
text is what reaches PostHog, so that sending it twice is the same event.
"""

from posthog_convex.events.builders import (
    EXCEPTION,
    Event,
    Stamp,
    alias,
    capture,
    exception,
    flag_properties,
    group_identify,
    identify,
    in_session,
    set_once,
    set_properties,
    unset_properties,
)
from posthog_convex.events.exposures import FLAG_CALLED, Exposure, FlagDetails, flag_called
from posthog_convex.events.fitting import exception_text, exposure_text
from posthog_convex.events.json_text import MAX_EVENT_BYTES, TooLarge, to_json
from posthog_convex.events.properties import EventError, Properties, UnfitValue, plain, spared
from posthog_convex.events.stamps import checked_uuid, event_uuid, iso_timestamp

__all__ = [
    "EXCEPTION",
    "FLAG_CALLED",
    "MAX_EVENT_BYTES",
    "Event",
    "EventError",
    "Exposure",
    "FlagDetails",
    "Properties",
    "Stamp",
    "TooLarge",
    "UnfitValue",
    "alias",
    "capture",
    "checked_uuid",
    "event_uuid",
    "exception",
    "exception_text",
    "exposure_text",
    "flag_called",
    "flag_properties",
    "group_identify",
    "identify",
    "in_session",
    "iso_timestamp",
    "plain",
    "set_once",
    "set_properties",
    "spared",
    "to_json",
    "unset_properties",
]
