"""Values of variables, as far as they may be seen.

Owns what is masked, what is shown and how much of it. Never calls code of the values: a `__repr__`
may do anything and say anything. One invariant: what is named like a secret, or looks like one, is
replaced before it is measured.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

import msgspec

#: What PostHog's own SDKs put in place of a value.
REDACTED = "$$_posthog_redacted_based_on_masking_rules_$$"
TOO_LONG = "$$_posthog_value_too_long_$$"

#: Names that tell of a secret, anywhere in the name and in any case.
MASK_PATTERNS = (
    "password", "passwd", "passphrase", "pwd", "secret", "token", "auth", "jwt", "dsn",
    "api_?key", "access_?key", "private_?key", "credential", "cookie", "session_?id", "signature",
    "card_?number", "cvv", "ssn", "iban",
)  # fmt: skip
#: Names that are of no use to see.
IGNORE_PATTERNS = ("^__.*",)

MAX_VALUE_CHARS = 1024
#: Characters of all variables of one reported error.
MAX_TOTAL_CHARS = 10_240
MAX_ITEMS = 50
MAX_DEPTH = 4

_URL_CREDENTIALS = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")
_SECRET_SHAPE = re.compile(
    r"\b(?:ph[xs]_|sk[-_]|pk_live_|rk_live_|gh[pousr]_|github_pat_|glpat-|xox[abprs]-|AKIA|AIza)"
    r"[\w-]{8,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"
    r"|\b[Bb]earer +[\w.~+/-]{8,}=*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
_WORD = re.compile(r"[A-Za-z0-9+/_=-]{24,}")
#: Bits a character; random text over 64 letters has six, words have less than four.
_RANDOM_ENTROPY = 4.2


class VariableRules:
    """Which variables are shown."""

    def __init__(
        self,
        mask_patterns: tuple[str, ...] = MASK_PATTERNS,
        ignore_patterns: tuple[str, ...] = IGNORE_PATTERNS,
    ) -> None:
        self._masked = _any_of(mask_patterns)
        self._ignored = _any_of(ignore_patterns)

    def shown(self, variables: Mapping[str, Any], room: int) -> dict[str, Any]:
        """The variables by name, in at most `room` characters of JSON text.

        >>> VariableRules().shown({"plan": "pro", "api_key": "k", "seats": 3}, 1000)
        {'plan': 'pro', 'api_key': '$$_posthog_redacted_based_on_masking_rules_$$', 'seats': 3}
        """
        shown: dict[str, Any] = {}
        for name, value in variables.items():
            if not isinstance(name, str) or _matches(self._ignored, name):
                continue
            made = REDACTED if self.masks(name) else self._value(value, 0)
            text = _json(made)
            if len(text) > MAX_VALUE_CHARS:
                made, text = TOO_LONG, TOO_LONG
            room -= len(name) + len(text)
            if room < 0:
                break
            shown[name] = made
        return shown

    def masks(self, name: str) -> bool:
        """Whether a value of this name is a secret."""
        return _matches(self._masked, name)

    def _value(self, value: Any, depth: int) -> Any:
        if value is None or (isinstance(value, (bool, int)) and not isinstance(value, Enum)):
            return value if value is None or abs(value) < 2**53 else str(value)
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, str):
            return _text(str.__str__(value))
        if isinstance(value, _SAFE_TO_PRINT):
            return _text(str(value))
        if depth < MAX_DEPTH:
            inner = self._inner(value, depth + 1)
            if inner is not None:
                return inner
        return f"<{type(value).__module__}.{type(value).__qualname__}>"

    def _inner(self, value: Any, depth: int) -> Any:
        """What a container of a type that is known holds; None for any other."""
        kind = type(value)
        if isinstance(value, Enum):
            return f"{kind.__qualname__}.{value.name}"
        if kind is dict:
            return self._named(value.items(), depth)
        if kind in (list, tuple, set, frozenset):
            items = [self._value(each, depth) for each in list(value)[:MAX_ITEMS]]
            return items if len(value) <= MAX_ITEMS else [*items, f"… {len(value)} in all"]
        if isinstance(value, msgspec.Struct):
            found = ((name, getattr(value, name, None)) for name in value.__struct_fields__)
            return self._named(found, depth)
        if is_dataclass(value) and not isinstance(value, type):
            found = ((each.name, getattr(value, each.name, None)) for each in fields(value))
            return self._named(found, depth)
        return None

    def _named(self, items: Any, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in items:
            if len(made) >= MAX_ITEMS:
                break
            name = key if isinstance(key, str) else str(self._value(key, depth))
            made[name] = REDACTED if self.masks(name) else self._value(value, depth)
        return made


_SAFE_TO_PRINT = (date, datetime, time, timedelta, Decimal, UUID, PurePath)


def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str] | None:
    return re.compile("|".join(f"(?:{p})" for p in patterns), re.IGNORECASE) if patterns else None


def _matches(pattern: re.Pattern[str] | None, name: str) -> bool:
    return pattern is not None and pattern.search(name) is not None


def _text(text: str) -> str:
    """The text without what looks like a secret."""
    if len(text) > MAX_VALUE_CHARS:
        return TOO_LONG
    text = _URL_CREDENTIALS.sub(REDACTED, text)
    if _SECRET_SHAPE.search(text) or any(_is_random(word) for word in _WORD.findall(text)):
        return REDACTED
    return text


def _is_random(word: str) -> bool:
    """Whether a word mixes cases and digits as only generated ones do; ids in one case are none."""
    if not (
        any(c.islower() for c in word)
        and any(c.isupper() for c in word)
        and any(c.isdigit() for c in word)
    ):
        return False
    shares = [count / len(word) for count in Counter(word).values()]
    return -sum(share * math.log2(share) for share in shares) >= _RANDOM_ENTROPY


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode("utf-8", "replace")
