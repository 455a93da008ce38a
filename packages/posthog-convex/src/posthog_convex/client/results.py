"""What flag calls answer.

Owns the typed results and the words for having no answer. Never evaluates. One invariant: off, no
verdict, and no such flag are three different things to whoever asks for a result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self, TypeAlias

import msgspec

from posthog_convex.events import EventError


class FlagState(StrEnum):
    """Why a result has its value, or has none."""

    #: The flag is on for the person; `value` is True or the variant's key.
    MATCH = "match"
    #: The flag is off for the person; `value` is False.
    OFF = "off"
    #: The definitions know the flag, and what they need is not known here: see `reason`.
    NO_VERDICT = "no_verdict"
    #: The definitions are loaded and have no such flag.
    UNKNOWN = "unknown"
    #: Definitions have not arrived yet.
    NOT_LOADED = "not_loaded"
    #: Definitions can't arrive: there is no key for them, or local evaluation is switched off.
    NO_KEY = "no_key"


class FlagResult(msgspec.Struct, frozen=True):
    """One flag for one person.

    `value`, `enabled` and `variant` are None where there is no verdict; then `state` says why, and
    `detail` says more in a sentence. `payload` is that of `value`, decoded, or None.
    """

    key: str
    state: FlagState
    value: bool | str | None
    payload: Any = None
    #: Why there is no verdict, in PostHog's words: experience_continuity, unsupported_definition,
    #: unresolved_dependency, missing_context.
    reason: str | None = None
    detail: str = ""
    #: PostHog's id and version of the definition.
    id: int | None = None
    version: int | None = None

    @property
    def has_verdict(self) -> bool:
        """Whether the flag was decided: on or off."""
        return self.value is not None

    @property
    def enabled(self) -> bool | None:
        """Whether the flag is on, as True or any variant."""
        return None if self.value is None else self.value is not False

    @property
    def variant(self) -> str | None:
        """The variant's key, for a flag that has variants and is on."""
        return self.value if isinstance(self.value, str) else None

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Self:
        """A result from the component's answer."""
        id_, version, payload = found["id"], found["version"], found["payload"]
        return cls(
            key=found["key"],
            state=FlagState(found["state"]),
            value=found["value"],
            payload=None if payload is None else json.loads(payload),
            reason=found["reason"],
            detail=found["detail"],
            id=None if id_ is None else int(id_),
            version=None if version is None else int(version),
        )


class FlagsAndPayloads(msgspec.Struct, frozen=True):
    """Many flags for one person, by key; flags without a verdict are in neither."""

    #: True or the variant's key of each flag that is on, False of each that is off.
    flags: dict[str, bool | str]
    #: The decoded payload of each flag that has one for its value.
    payloads: dict[str, Any]
    #: Why there are none, when PostHog could not be asked.
    error: str | None = None


#: What calls for many flags answer: all of it, or values by key.
FlagValues: TypeAlias = FlagsAndPayloads | Mapping[str, Any]


def values_of(flags: FlagValues) -> dict[str, bool | str]:
    """The values that there are. Raises `EventError` for what no such call has answered.

    >>> values_of({"beta": "a", "off": False, "undecided": None})
    {'beta': 'a', 'off': False}
    """
    if isinstance(flags, FlagsAndPayloads):
        return flags.flags
    if not isinstance(flags, Mapping):
        raise EventError(
            "flags must be what get_all_flags, get_all_flags_and_payloads or evaluate_all_flags "
            f"answered, not {type(flags).__name__}"
        )
    return {key: value for key, value in flags.items() if isinstance(value, (bool, str))}


def explanation(state: str, key: str | None, detail: str) -> str:
    """The warning that says why there is no value; `key` None stands for all flags."""
    what = "flags" if key is None else f"flag {key!r}"
    gives = "flags give" if key is None else f"{what} gives"
    match FlagState(state):
        case FlagState.UNKNOWN:
            return f"posthog: there is no {what}. It gives the default until it is created."
        case FlagState.NO_VERDICT:
            return f"posthog: {what} has no verdict here: {detail}. It gives the default. {_MORE}"
        case FlagState.NOT_LOADED:
            return f"posthog: flag definitions are not loaded yet, so {gives} the default."
        case FlagState.NO_KEY:
            return f"posthog: {gives} the default: {detail}"
    raise AssertionError(f"{state} needs no explanation")


_MORE = "Why that is, and what helps: docs/posthog/limitations.md."
