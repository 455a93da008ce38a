"""What an evaluation answers.

Owns the three states of a verdict and the reasons for having none. Never evaluates. One invariant:
"off" and "no verdict" are different answers, and a payload of null is no sign of either.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

#: Any JSON value; the wire is its only source.
Json = Any


Properties = Mapping[str, Json]


class State(StrEnum):
    """The kinds of answer."""

    MATCH = "match"
    OFF = "off"
    NO_VERDICT = "no_verdict"


class Reason(StrEnum):
    """Why there is no verdict: PostHog's words, strongest first when several apply."""

    EXPERIENCE_CONTINUITY = "experience_continuity"
    UNSUPPORTED_DEFINITION = "unsupported_definition"
    UNRESOLVED_DEPENDENCY = "unresolved_dependency"
    MISSING_CONTEXT = "missing_context"


_STRENGTH = {reason: rank for rank, reason in enumerate(reversed(Reason))}


class Unknown(msgspec.Struct, frozen=True):
    """The third truth value: what a check says when it can't be decided here."""

    reason: Reason
    detail: str


#: What a check of one property, cohort or condition says.
Ternary = bool | Unknown


def stronger(current: Unknown | None, other: Unknown) -> Unknown:
    """The one of two unknowns that explains more; the first of equals."""
    if current is None or _STRENGTH[other.reason] > _STRENGTH[current.reason]:
        return other
    return current


class Call(msgspec.Struct, frozen=True, gc=False):
    """Who asks, with what, and when: what one evaluation is about.

    The distinct id is a person property too, unless another was passed.
    """

    distinct_id: str
    person_properties: Properties
    groups: Mapping[str, str]
    group_properties: Mapping[str, Properties]
    #: Milliseconds since 1970.
    now_ms: float
    #: Verdicts of flags that this one depends on, so that each is evaluated once.
    known: dict[str, Verdict]


class Verdict(msgspec.Struct, frozen=True):
    """The answer for one flag and one caller.

    `value` is True or the variant's key on a match, False when off, None without a verdict.
    `payload` is the decoded payload of that value, or None.
    """

    state: State
    value: bool | str | None
    payload: Json = None
    reason: Reason | None = None
    detail: str = ""


OFF = Verdict(State.OFF, False)


def no_verdict(unknown: Unknown) -> Verdict:
    """The verdict that says why there is none."""
    return Verdict(State.NO_VERDICT, None, None, unknown.reason, unknown.detail)
