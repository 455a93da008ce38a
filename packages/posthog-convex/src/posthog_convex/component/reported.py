"""What functions report beside their result, for the component to send: errors and exposures.

Owns the items' kinds and fields. Never builds an event. One invariant: an item
names the mounted component that it is for, so that apps with two projects keep them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

EXCEPTION = "posthog.exception"
EXPOSURE = "posthog.exposure"
#: An exposure that the function sends itself, if it commits.
EXPOSED = "posthog.exposed"


class ReportedException(msgspec.Struct, frozen=True):
    """An error that a function reported by hand, or that the app's hooks saw leave one."""

    mount: str
    #: The host's id of the error, the same wherever the error is met.
    error: str
    #: The event as JSON text; None when the app's hook dropped it, which counts for the error's
    #: automatic report too.
    event: str | None
    #: Whether the event belongs to whoever the run turns out to be for.
    for_caller: bool = False
    #: Whether it left its function uncaught, and is told here as the app's hooks leave it.
    uncaught: bool = False
    #: Properties that the app's hooks saw and took away, so that the lane does not put them back.
    removed: tuple[str, ...] = ()


class Seen(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who was given which value, and how it came about; see `FlagDetails`."""

    distinct_id: str
    flag: str
    value: bool | str
    locally: bool
    groups: dict[str, str] = {}
    reason: str | None = None
    payload: Any = None
    id: int | None = None
    version: int | None = None
    request_id: str | None = None
    disable_geoip: bool = True


class ReportedExposure(msgspec.Struct, frozen=True, omit_defaults=True):
    """A flag's value that somebody was given."""

    mount: str
    #: What counts as the same exposure.
    slot: str
    #: The event as JSON text, where hooks of the app had to see it.
    event: str | None = None
    #: Whether they saw the run's session too, so that what they left of it counts.
    with_session: bool = False
    #: What the event is made of, if it is sent; most are not, as they were sent before.
    seen: Seen | None = None


def to_item(reported: ReportedException | ReportedExposure) -> dict[str, Any]:
    """As plain data."""
    made: dict[str, Any] = msgspec.to_builtins(reported)
    return made


def exception_of(value: Any) -> ReportedException | None:
    """The item of that kind, None for what somebody else may have reported under its name."""
    return _converted(value, ReportedException)


def exposure_of(value: Any) -> ReportedExposure | None:
    """The same for exposures."""
    return _converted(value, ReportedExposure)


def is_for(component: str, reporter: str, mount: str) -> bool:
    """Whether an item that a function of `reporter` made is for the component at this path.

    >>> is_for("posthog", "", "posthog"), is_for("shop/posthog", "shop", "posthog")
    (True, True)
    """
    return component == (f"{reporter}/{mount}" if reporter else mount)


def _converted(value: Any, kind: type[T]) -> T | None:
    if not isinstance(value, Mapping):
        return None
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None
