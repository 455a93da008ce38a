"""The hash, against vectors that every official SDK and the server share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthog.feature_flags import _hash, get_matching_variant

from posthog_convex.flags.bucket import (
    bucket_hash,
    holdout_hash,
    rollout_hasher,
    variant_picker,
)


def test_reference_vectors() -> None:
    assert bucket_hash("simple-flag", "distinct_id_0") == 0.7836963764220432
    assert bucket_hash("simple-flag", "distinct_id_1") == 0.3397069926995401
    assert bucket_hash("multivariate-flag", "distinct_id_0", "variant") == 0.6186454537930379
    assert holdout_hash("distinct_id_0") == 0.6560969302723004


def test_reference_rollout() -> None:
    inside = [bucket_hash("simple-flag", f"distinct_id_{n}") <= 0.45 for n in range(10)]
    assert inside == [False, True, True, False, True, False, False, True, False, True]


@given(key=st.text(max_size=20), bucket=st.text(max_size=40))
def test_same_as_the_official_sdk(key: str, bucket: str) -> None:
    assert bucket_hash(key, bucket) == rollout_hasher(key)(bucket) == _hash(key, bucket)


@pytest.mark.parametrize("shares", [[50, 50], [33.3, 33.3, 33.4], [0, 100], [10, 20], [100, 50]])
def test_variants_are_picked_as_in_the_official_sdk(shares: list[float]) -> None:
    variants = [{"key": str(n), "rollout_percentage": share} for n, share in enumerate(shares)]
    flag = {"key": "multivariate-flag", "filters": {"multivariate": {"variants": variants}}}
    pick = variant_picker("multivariate-flag", shares)
    for number in range(500):
        bucket = f"distinct_id_{number}"
        theirs = get_matching_variant(flag, bucket)
        assert pick(bucket) == (len(shares) if theirs is None else int(theirs))
