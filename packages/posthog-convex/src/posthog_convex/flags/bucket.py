"""Where an id falls: rollout, variant and holdout hashes.

Owns PostHog's hashing, bit for bit. Never looks at definitions beyond the numbers it is given. One
invariant: the same key and id give the same number as every PostHog SDK and the server.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from hashlib import sha1

# SHA-1 places ids in buckets and protects nothing. The keyword `usedforsecurity` would say so, and
# costs 0.15 µs a call, a third of the hash.

#: Fifteen hexadecimal digits of the digest, the largest value included in [0, 1].
_SCALE = float(0xFFFFFFFFFFFFFFF)


def bucket_hash(key: str, bucket: str, salt: str = "") -> float:
    """The place of `bucket` in [0, 1] for a flag.

    >>> bucket_hash("simple-flag", "distinct_id_0")
    0.7836963764220432
    """
    return _place(f"{key}.{bucket}{salt}".encode())


def holdout_hash(bucket: str) -> float:
    """The place of `bucket` in [0, 1] for every holdout.

    >>> holdout_hash("distinct_id_0")
    0.6560969302723004
    """
    return _place(f"holdout-{bucket}".encode())


def rollout_hasher(key: str) -> Callable[[str], float]:
    """`bucket_hash` of one flag, prepared."""
    prefix = f"{key}.".encode()

    def place(bucket: str) -> float:
        digest = sha1(prefix + bucket.encode()).digest()  # noqa: S324 - PostHog's own buckets
        return (int.from_bytes(digest[:8]) >> 4) / _SCALE

    return place


def variant_picker(key: str, percentages: Sequence[float]) -> Callable[[str], int]:
    """A function from an id to the index of its variant; beyond the last one when none applies."""
    prefix, ends, end = f"{key}.".encode(), [], 0.0
    for percentage in percentages:
        end = end + percentage / 100
        ends.append(end)

    def pick(bucket: str) -> int:
        digest = sha1(prefix + bucket.encode() + b"variant").digest()  # noqa: S324 - PostHog's own buckets
        return bisect_right(ends, (int.from_bytes(digest[:8]) >> 4) / _SCALE)

    return pick


def _place(text: bytes) -> float:
    digest = sha1(text).digest()  # noqa: S324 - PostHog's own buckets
    return (int.from_bytes(digest[:8]) >> 4) / _SCALE
