"""What happened during a recording, in order, whatever the recording holds."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from posthog_local.store.reader import StoredEvent
from posthog_local.ui.moments import MAX_MOMENTS, moments

_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "timestamp", "data", "plugin", "payload", "level", "href"]),
            inner,
        )
    ),
    max_leaves=8,
)
_ITEM = st.fixed_dictionaries(
    {"type": st.sampled_from([3, 4, 6]), "timestamp": st.integers(0, 50) | _ANY},
    optional={
        "data": _ANY
        | st.fixed_dictionaries({"href": st.text(max_size=3)})
        | st.fixed_dictionaries({"plugin": st.just("rrweb/console@1"), "payload": _ANY})
    },
)


@given(st.lists(_ITEM, max_size=8))
def test_any_items_give_lines_in_order(items: list[dict[str, Any]]) -> None:
    found = moments("s", items, [], [])
    assert [one.at_ms for one in found] == sorted(one.at_ms for one in found)


def test_what_was_clicked_and_which_page_stands_with_the_event() -> None:
    def event(name: str, **properties: Any) -> StoredEvent:
        return StoredEvent(
            seq=1, uuid="u", event=name, distinct_id="a", person_id="p", person_mode="full",
            timestamp_us=5, received_us=5, session_id="s", properties=properties)  # fmt: skip

    clicked = event("$autocapture", **{"$el_text": "Pay 100 €"})
    looked = event("$pageview", **{"$pathname": "/cart"})
    bare = event("$autocapture")
    found = [one.text for one in moments("s", [], [clicked, looked, bare], [])]
    assert found == ["$autocapture: Pay 100 €", "$pageview: /cart", "$autocapture"]


def test_pages_and_console_lines_are_told_apart_and_bounded() -> None:
    said = {"plugin": "rrweb/console@1", "payload": {"level": "warn", "payload": ["a", 5]}}
    items: list[dict[str, Any]] = [
        {"type": 6, "timestamp": 20, "data": said},
        {"type": 4, "timestamp": 10, "data": {"href": "x" * 500}},
    ]
    page, line = moments("s", items, [], [])
    assert (page.kind, len(page.text)) == ("page", 200)
    assert (line.kind, line.text) == ("console warn", "a 5")
    assert len(moments("s", items * 400, [], [])) == MAX_MOMENTS
