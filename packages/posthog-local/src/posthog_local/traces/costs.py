"""What a generation cost: by what the caller says, else by a bundled, dated price table.

Owns PostHog's order of sources and its treatment of cached tokens. Pure over an event's properties;
the table is `prices.json` beside this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import msgspec

PRICED_EVENTS = frozenset(["$ai_generation", "$ai_embedding", "$ai_evaluation"])
_CACHE_WRITE = 1.25
_CACHE_WRITE_HOUR = 2.0
_CACHE_READ_ANTHROPIC = 0.1
_CACHE_READ_OTHERS = 0.5


class Price(NamedTuple):
    """USD for one token, and where the price comes from; cached tokens None means by rule."""

    input: float
    output: float
    source: str
    model: str | None
    cache_read: float | None = None
    cache_write: float | None = None
    request: float = 0.0
    web_search: float = 0.0


def priced(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties with their costs, as far as these can be known.

    >>> priced({"$ai_model": "gpt-4o", "$ai_input_tokens": 1_000_000})["$ai_total_cost_usd"]
    2.5
    """
    own_input = _number(properties, "$ai_input_cost_usd")
    own_output = _number(properties, "$ai_output_cost_usd")
    if own_input is not None and own_output is not None:
        costs = {"$ai_cost_model_source": "passthrough"}
        return {**properties, "$ai_total_cost_usd": own_input + own_output, **costs}
    price = _own_price(properties) or _table_price(properties)
    if price is None:
        return dict(properties)
    return {**properties, **_costs(properties, price)}


def _costs(properties: Mapping[str, Any], price: Price) -> dict[str, Any]:
    spent = _input_cost(properties, price)
    made = _output_tokens(properties) * price.output
    request = _extra(properties, "request", price.request, usual=1.0)
    search = _extra(properties, "web_search", price.web_search, usual=0.0)
    costs: dict[str, Any] = {
        "$ai_input_cost_usd": spent,
        "$ai_output_cost_usd": made,
        "$ai_total_cost_usd": spent + made + request + search,
        "$ai_cost_model_source": price.source,
    }
    if request:
        costs["$ai_request_cost_usd"] = request
    if search:
        costs["$ai_web_search_cost_usd"] = search
    if price.model is not None:
        costs["$ai_model_cost_used"] = price.model
        costs["$ai_cost_model_provider"] = properties.get("$ai_provider") or "default"
    return costs


def _input_cost(properties: Mapping[str, Any], price: Price) -> float:
    """What the input tokens cost, each kind by its own price."""
    tokens = _number(properties, "$ai_input_tokens") or 0.0
    read = _number(properties, "$ai_cache_read_input_tokens") or 0.0
    written = _number(properties, "$ai_cache_creation_input_tokens") or 0.0
    for_an_hour = min(written, _number(properties, "$ai_cache_creation_1h_input_tokens") or 0.0)
    anthropic = _is_anthropic(properties)
    exclusive = properties.get("$ai_cache_reporting_exclusive")
    if exclusive is not True and (exclusive is False or not anthropic):
        tokens = max(0.0, tokens - read - written)
    usual_read = price.input * (_CACHE_READ_ANTHROPIC if anthropic else _CACHE_READ_OTHERS)
    usual_write = price.input * (_CACHE_WRITE if anthropic else 1.0)
    cache_read = usual_read if price.cache_read is None else price.cache_read
    cache_write = usual_write if price.cache_write is None else price.cache_write
    hour = price.input * _CACHE_WRITE_HOUR if anthropic else cache_write
    return (
        tokens * price.input
        + read * cache_read
        + (written - for_an_hour) * cache_write
        + for_an_hour * hour
    )


def _extra(properties: Mapping[str, Any], what: str, price: float, *, usual: float) -> float:
    """What requests or searches cost: as the caller says, else their number times the price."""
    own = _number(properties, f"$ai_{what}_cost_usd")
    if own is not None:
        return own
    count = _number(properties, f"$ai_{what}_count")
    return price * (usual if count is None else count)


def _output_tokens(properties: Mapping[str, Any]) -> float:
    tokens = _number(properties, "$ai_output_tokens") or 0.0
    model = str(properties.get("$ai_model", "")).lower()
    # Gemini's count of output leaves out what it thought.
    thinks_apart = "gemini-2.5" in model or "gemini-3" in model
    return tokens + ((_number(properties, "$ai_reasoning_tokens") or 0.0) if thinks_apart else 0.0)


def _own_price(properties: Mapping[str, Any]) -> Price | None:
    spent = _number(properties, "$ai_input_token_price")
    made = _number(properties, "$ai_output_token_price")
    if spent is None or made is None:
        return None
    return Price(
        spent,
        made,
        "custom",
        None,
        cache_read=_number(properties, "$ai_cache_read_token_price"),
        cache_write=_number(properties, "$ai_cache_write_token_price"),
        request=_number(properties, "$ai_request_price") or 0.0,
        web_search=_number(properties, "$ai_web_search_price") or 0.0,
    )


def _table_price(properties: Mapping[str, Any]) -> Price | None:
    model = properties.get("$ai_model")
    if not isinstance(model, str) or not model:
        return None
    table = _table()
    wanted = model.lower().rpartition("/")[2]
    # The longest name within the model's, so that a dated release finds its family.
    inside = [name for name in table if name in wanted]
    name = wanted if wanted in table else max(inside, key=len, default=None)
    if name is None:
        around = [one for one in table if wanted in one]
        name = min(around, key=len, default=None)
    if name is None:
        return None
    spent, made = table[name]
    return Price(spent / 1e6, made / 1e6, "posthog-local", name)


@cache
def _table() -> dict[str, tuple[float, float]]:
    text = (resources.files("posthog_local.traces") / "prices.json").read_bytes()
    models: dict[str, Any] = msgspec.json.decode(text)["models"]
    return {name: (float(pair[0]), float(pair[1])) for name, pair in models.items()}


def _is_anthropic(properties: Mapping[str, Any]) -> bool:
    provider = str(properties.get("$ai_provider", "")).lower()
    return "anthropic" in provider or "claude" in str(properties.get("$ai_model", "")).lower()


def _number(properties: Mapping[str, Any], name: str) -> float | None:
    value = properties.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= 1e15 else None
