"""Our evaluation beside the official Python SDK's, over definitions and callers made at random.

Equal, or explained: by a row of `DIFFERENCES`, whose trait the case must have, or by proof. Proof
is the SDK itself, asked again with what was missing filled in: where we answer and it does not,
every filling must give our answer; where it answers and we do not, some filling must give another.
"""

from __future__ import annotations

import json
from collections import Counter

import pytest
from parity_differences import DIFFERENCES, is_proven, traits
from parity_evaluators import Sdk, compiled
from parity_worlds import Author

from posthog_convex.flags import State


def compare(seed: int, worlds: int, callers: int) -> Counter[str]:
    """Evaluate and explain; returns how many cases each explanation took."""
    author, sdk, counts = Author(seed), Sdk(), Counter[str]()
    for _ in range(worlds):
        world = author.world()
        sdk.load(world)
        flags = compiled(world)
        for caller in (author.caller() for _ in range(callers)):
            undecided = State.NO_VERDICT
            unresolved = {key for key, ask in flags.items() if ask(caller).state is undecided}
            for key, ask in flags.items():
                ours, (theirs, payload) = ask(caller), sdk.ask(key, caller)
                counts["cases"] += 1
                counts[ours.state] += 1
                if ours.value == theirs and type(ours.value) is type(theirs):
                    if ours.state is State.MATCH:
                        odd = ours.value == "b" and payload is None
                        assert ours.payload == ("not json" if odd else payload)
                        counts["payload"] += odd
                    counts["equal"] += 1
                    continue
                reasons = traits(world, key, caller)
                if reasons:
                    counts.update(reasons)
                    continue
                proven = (theirs is None) != (ours.value is None) and is_proven(
                    author, sdk, world, key, caller, ours, theirs, unresolved
                )
                assert proven, (
                    f"ours {ours}, theirs {theirs!r}\n{json.dumps(world.flags[key])}\n"
                    f"{json.dumps(world.cohorts)}\n{caller}\nmatching {world.matching_version}"
                )
                counts["proven: " + ("ours undecided" if theirs is not None else "decided")] += 1
    return counts


@pytest.mark.parametrize("seed", range(4))
def test_equal_to_the_official_sdk_or_explained(seed: int) -> None:
    counts = compare(seed, worlds=60, callers=10)
    assert counts["cases"] == 3600
    assert counts["equal"] > 0.85 * counts["cases"], counts
    for state in State:
        assert counts[state] > 0.1 * counts["cases"], counts
    reasons = {name for name in counts if not name.startswith("proven")}
    assert reasons <= {"cases", "equal", *State, *DIFFERENCES}


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_two_hundred_thousand_evaluations() -> None:
    counts: Counter[str] = Counter()
    for seed in range(1000, 1010):
        counts += compare(seed, worlds=170, callers=20)
    assert counts["cases"] >= 200_000
    assert counts["equal"] > 0.85 * counts["cases"], counts
    assert set(DIFFERENCES) <= set(counts), "a row of the table explains nothing"
