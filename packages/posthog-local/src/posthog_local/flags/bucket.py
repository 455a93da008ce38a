"""Which side of a rollout somebody falls on: the hash that every PostHog SDK and server shares.

Owns that hash and how variants divide its range. A pure function of flag key and bucketing value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

# Fifteen hex digits, as every PostHog evaluator takes them.
_HEX_DIGITS = 15
_RANGE = float(0xFFFFFFFFFFFFFFF)


def fraction(prefix: str, bucketing_value: str, salt: str = "", separator: str = ".") -> float:
    """A number in [0, 1] that never changes for the same words.

    >>> fraction("simple-flag", "distinct_id_0")
    0.7836963764220432
    """
    text = f"{prefix}{separator}{bucketing_value}{salt}"
    digest = hashlib.sha1(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()
    return int(digest[:_HEX_DIGITS], 16) / _RANGE


def is_rolled_out(flag_key: str, bucketing_value: str, percentage: float) -> bool:
    """Whether the value is among the first `percentage` percent of this flag."""
    return fraction(flag_key, bucketing_value) <= percentage / 100


def pick_variant(
    flag_key: str, bucketing_value: str, variants: Iterable[tuple[str, float]]
) -> str | None:
    """The variant whose share of the range holds the value; None past the last share."""
    position = fraction(flag_key, bucketing_value, "variant")
    upper = 0.0
    for key, percentage in variants:
        upper += percentage / 100
        if position < upper:
            return key
    return None


def is_held_out(holdout_bucket: str, percentage: float) -> bool:
    """Whether the value is in a holdout of this size; one range serves all flags."""
    return (
        percentage >= 100 or fraction("holdout", holdout_bucket, separator="-") <= percentage / 100
    )
