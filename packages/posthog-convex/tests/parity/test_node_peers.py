"""Our evaluation beside posthog-node's and `@posthog/convex`'s, and the page of all differences.

Equal, or explained: by a row of a table, whose trait the case must have, or by proof as with the
Python SDK, which then answers with what was missing filled in. `python …/test_node_peers.py`
rewrites the page.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from parity_differences import DIFFERENCES, is_proven
from parity_evaluators import Sdk, compiled
from parity_peer_differences import CONVEX, NODE, PEER_DIFFERENCES, SHARED_DIFFERENCES, peer_traits
from parity_peers import Peers
from parity_worlds import Author

from posthog_convex.flags import State

PAGE = Path(__file__).resolve().parents[4] / "docs" / "posthog" / "differences.md"


def compare(peers: Peers, peer: str, seed: int, worlds: int, callers: int) -> Counter[str]:
    """Evaluate and explain; returns how many cases each explanation took."""
    author, sdk, counts = Author(seed), Sdk(), Counter[str]()
    for _ in range(worlds):
        world = author.world()
        sdk.load(world)
        flags = compiled(world)
        people = [author.caller() for _ in range(callers)]
        for caller, answers in zip(people, peers.ask(world, people)[peer], strict=True):
            unresolved = {k for k, ask in flags.items() if ask(caller).state is State.NO_VERDICT}
            for key, ask in flags.items():
                ours, (theirs, payload) = ask(caller), answers.get(key, (None, None))
                counts["cases"] += 1
                counts[ours.state] += 1
                if ours.value == theirs and type(ours.value) is type(theirs):
                    assert ours.payload == payload
                    counts["equal"] += 1
                    continue
                reasons = peer_traits(peer, world, key, caller)
                if reasons:
                    counts.update(reasons)
                    continue
                proven = (theirs is None) != (ours.value is None) and is_proven(
                    author, sdk, world, key, caller, ours, theirs, unresolved
                )
                assert proven, (
                    f"ours {ours}, {peer} {theirs!r}\n{json.dumps(world.flags[key])}\n"
                    f"{json.dumps(world.cohorts)}\n{caller}\nmatching {world.matching_version}"
                )
                counts["proven"] += 1
    return counts


#: The share of equal answers; `@posthog/convex` has no holdouts and passes no distinct id.
LEAST_EQUAL = {NODE: 0.85, CONVEX: 0.75}


@pytest.mark.parametrize("peer", [NODE, CONVEX])
def test_equal_to_the_evaluators_for_javascript_or_explained(peer: str) -> None:
    with Peers() as peers:
        counts = compare(peers, peer, seed=0, worlds=60, callers=10)
    assert counts["cases"] == 3600
    assert counts["equal"] > LEAST_EQUAL[peer] * counts["cases"], counts
    for state in State:
        assert counts[state] > 0.1 * counts["cases"], counts


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("peer", [NODE, CONVEX])
def test_two_hundred_thousand_evaluations_for_javascript(peer: str) -> None:
    counts: Counter[str] = Counter()
    with Peers() as peers:
        for seed in range(1000, 1010):
            counts += compare(peers, peer, seed, worlds=170, callers=20)
    assert counts["cases"] >= 200_000
    assert counts["equal"] > LEAST_EQUAL[peer] * counts["cases"], counts
    rows = {name for name, (those, _) in PEER_DIFFERENCES.items() if peer in those}
    assert rows | SHARED_DIFFERENCES <= set(counts), "a row of the tables explains nothing"


def test_the_page_has_every_row() -> None:
    assert PAGE.read_text() == page(), f"python {Path(__file__).name} rewrites it"


def page() -> str:
    return "\n".join(
        [
            "# Where local evaluation differs from PostHog's SDKs",
            "",
            "PostHog's server is the measure; its SDKs approximate it, each a little otherwise.",
            "Definitions and callers made at random are evaluated here and by PyPI `posthog`,",
            "npm `posthog-node` and npm `@posthog/convex`, as released (the versions stand in",
            "[compatibility](../compatibility.md)). All agree, but for the rows below, and but for",
            "one rule: here a flag has a verdict exactly when nothing that is unknown could change",
            "it, where the SDKs may give up earlier or decide too early. Each such case is proven",
            "in the test with everything filled in.",
            "",
            "Written from the tables of `packages/posthog-convex/tests/parity`, which the tests",
            "hold against the evaluators.",
            "",
            "| about | here | PyPI `posthog` | `posthog-node` | `@posthog/convex` |",
            "|---|---|---|---|---|",
            *_rows(),
            "",
        ]
    )


def _rows() -> Iterator[str]:
    for name, text in DIFFERENCES.items():
        shared = "differs" if name in SHARED_DIFFERENCES else "same"
        yield f"| {name} | {text} | differs | {shared} | {shared} |"
    for name, (those, text) in PEER_DIFFERENCES.items():
        cells = ["differs" if peer in those else "same" for peer in (NODE, CONVEX)]
        yield f"| {name} | {text} | same | {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page())
