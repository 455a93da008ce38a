"""The events of a trace as a tree: parents first, nothing lost, nothing twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from posthog_local.store.reader import StoredEvent
from posthog_local.ui.tracetree import totals, tree


def stored(seq: int, span_id: str, parent_id: str | None) -> StoredEvent:
    properties = {"$ai_span_id": span_id, "$ai_parent_id": parent_id}
    return StoredEvent(
        seq=seq, uuid="", event="$ai_span", distinct_id="u", person_id="", person_mode="full",
        timestamp_us=seq, received_us=0, session_id=None, properties=properties,
    )  # fmt: skip


def test_the_tree_follows_parents() -> None:
    events = [stored(1, "a", None), stored(2, "b", "a"), stored(3, "c", "a"), stored(4, "d", "b"),
              stored(5, "e", "gone")]  # fmt: skip
    assert [(node.event.seq, node.depth) for node in tree(events)] == [
        (1, 0),
        (2, 1),
        (4, 2),
        (3, 1),
        (5, 0),
    ]


def test_a_cost_that_nobody_knows_is_not_nothing() -> None:
    events = [stored(1, "a", None), stored(2, "b", "a")]
    assert totals(events).cost_usd is None
    events[0].properties["$ai_total_cost_usd"] = 0.5
    assert totals(events).cost_usd == 0.5


_IDS = st.sampled_from(["a", "b", "c", "d"])


@given(st.lists(st.tuples(_IDS, _IDS | st.none()), max_size=8))
def test_no_event_is_lost_or_shown_twice(links: list[tuple[str, str | None]]) -> None:
    events = [stored(seq, own, parent) for seq, (own, parent) in enumerate(links, 1)]
    assert sorted(node.event.seq for node in tree(events)) == [event.seq for event in events]
