"""What follows from an AI event's own properties, and what it costs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_local.traces.costs import priced
from posthog_local.traces.normal import normalised


def test_parameters_are_named_and_what_was_said_stays() -> None:
    found = normalised(
        {
            "$ai_model_parameters": {"temperature": 0.1, "max_completion_tokens": 50, "seed": 1},
            "$ai_temperature": 0.7,
        }
    )
    assert (found["$ai_temperature"], found["$ai_max_tokens"]) == (0.7, 50)
    assert "$ai_stream" not in found


@pytest.mark.parametrize(
    "choices",
    [
        [{"role": "assistant", "tool_calls": [
            {"type": "function", "function": {"name": "stock"}}, {"function": {"name": "ship"}}]}],
        [{"role": "assistant", "content": [
            {"type": "text", "text": "wait", "name": "no tool"},
            {"type": "tool_use", "name": "stock"}, {"type": "tool-call", "toolName": "ship"}]}],
    ],
)  # fmt: skip
def test_called_tools_are_counted(choices: Any) -> None:
    found = normalised({"$ai_output_choices": choices})
    assert (found["$ai_tools_called"], found["$ai_tool_call_count"]) == ("stock,ship", 2)


def test_ids_are_text() -> None:
    found = normalised({"$ai_trace_id": 5, "$ai_span_id": {"a": 1}, "$ai_parent_id": None})
    assert found == {"$ai_trace_id": "5", "$ai_span_id": '{"a":1}', "$ai_parent_id": None}


def cost(**properties: Any) -> Any:
    named = {f"$ai_{name}": value for name, value in properties.items()}
    return priced(named).get("$ai_total_cost_usd")


def test_own_prices_count_for_every_kind_of_token_and_call() -> None:
    own = {"input_token_price": 1.0, "output_token_price": 2.0, "cache_read_token_price": 0.1,
           "cache_write_token_price": 3.0, "request_price": 5.0,
           "web_search_price": 7.0}  # fmt: skip
    used = {"input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 4,
            "cache_creation_input_tokens": 2, "web_search_count": 2}  # fmt: skip
    # Four plain tokens are left of the ten, as the cached ones are among them.
    assert cost(**own, **used) == pytest.approx(4 + 0.4 + 6 + 2 + 5 + 14)


def test_a_cache_for_an_hour_costs_double() -> None:
    used = {"model": "claude-sonnet-4-5", "provider": "anthropic", "input_tokens": 0}
    five = cost(**used, cache_creation_input_tokens=1_000_000)
    hour = cost(**used, cache_creation_input_tokens=1_000_000,
                cache_creation_1h_input_tokens=1_000_000)  # fmt: skip
    assert hour / five == pytest.approx(2.0 / 1.25)


def test_a_part_of_a_name_finds_its_model() -> None:
    found = priced({"$ai_model": "sonnet-4-5", "$ai_input_tokens": 1, "$ai_provider": "x"})
    assert found["$ai_model_cost_used"] == "claude-sonnet-4-5"
    assert found["$ai_cost_model_provider"] == "x"
    assert cost(model="of-nobody", input_tokens=1) is None


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "function", "name", "content", "tool_calls"]), inner
        )
    ),
    max_leaves=8,
)
_NAMES = ["$ai_model_parameters", "$ai_output_choices", "$ai_trace_id", "$ai_input_tokens",
          "$ai_model", "$ai_cache_creation_1h_input_tokens", "$ai_web_search_count"]  # fmt: skip


@given(st.dictionaries(st.sampled_from(_NAMES), _ANY))
def test_any_properties_survive(properties: dict[str, Any]) -> None:
    assert properties.keys() <= priced(normalised(properties)).keys()
