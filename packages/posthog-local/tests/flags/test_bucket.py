"""The shared hash, against numbers from PostHog's own consistency tests."""

from __future__ import annotations

from posthog_local.flags.bucket import fraction, is_held_out, is_rolled_out, pick_variant


def test_vectors() -> None:
    assert fraction("simple-flag", "distinct_id_0") == 0.7836963764220432
    assert fraction("simple-flag", "distinct_id_1") == 0.3397069926995401
    assert fraction("multivariate-flag", "distinct_id_0", "variant") == 0.6186454537930379
    assert fraction("holdout", "distinct_id_0", separator="-") == 0.6560969302723004


def test_a_rollout_of_45_percent() -> None:
    results = [is_rolled_out("simple-flag", f"distinct_id_{n}", 45) for n in range(10)]
    assert "".join("T" if one else "F" for one in results) == "FTTFTFFTFT"


def test_the_ends_of_the_range() -> None:
    assert all(is_rolled_out("f", str(n), 100) for n in range(100))
    assert not any(is_rolled_out("f", str(n), 0) for n in range(100))
    assert is_held_out("anyone", 100)
    assert not is_held_out("distinct_id_0", 65)
    assert is_held_out("distinct_id_0", 66)


def test_variants_divide_the_range_in_order() -> None:
    variants = [("a", 50), ("b", 20), ("c", 20), ("d", 5), ("e", 5)]
    assert pick_variant("multivariate-flag", "distinct_id_0", variants) == "b"
    assert pick_variant("multivariate-flag", "distinct_id_0", [("a", 10)]) is None
