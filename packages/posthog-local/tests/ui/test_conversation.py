"""Messages in the shapes that SDKs send become turns; nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_local.ui.conversation import turns

_CALL = {"type": "function", "function": {"name": "stock", "arguments": '{"id":1}'}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("soft?", [("user", "soft?", "text")]),
        ([{"role": "system", "content": "be kind"}], [("system", "be kind", "text")]),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}, "b"]}],
         [("user", "a", "text"), ("user", "b", "text")]),
        ([{"role": "user", "parts": [{"type": "text", "content": "a"}]}], [("user", "a", "text")]),
        ([{"role": "assistant", "content": [_CALL]}], [("assistant", 'stock({"id":1})', "call")]),
        ([{"role": "assistant", "content": None, "tool_calls": [_CALL]}],
         [("assistant", 'stock({"id":1})', "call")]),
        ([{"role": "tool", "parts": [{"type": "tool_call_response", "response": "7"}]}],
         [("tool", "7", "result")]),
        ([{"message": {"role": "assistant", "content": "yes"}}], [("assistant", "yes", "text")]),
        (None, []),
        ([], []),
    ],
)  # fmt: skip
def test_shapes(value: Any, expected: list[tuple[str, str, str]]) -> None:
    assert [(one.role, one.text, one.kind) for one in turns(value, "user")] == expected


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["role", "content", "parts", "type", "text", "tool_calls", "function",
                         "name", "arguments", "message"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(_JSON)
def test_any_value_is_shown(value: Any) -> None:
    for turn in turns(value, "user"):
        assert isinstance(turn.text, str)
        assert isinstance(turn.role, str)
