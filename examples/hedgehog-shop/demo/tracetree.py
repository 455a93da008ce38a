"""One trace of LLM analytics as lines: what ran below what, which model, how long.

Owns the drawing. Never asks anything. One invariant: calls of one function below the same span, one
after the other, are one line that counts them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

Properties = Mapping[str, Any]


def lines(events: Sequence[Mapping[str, Any]]) -> list[str]:
    """The trace's events, as PostHog Local's control API gives them.

    >>> def event(name, id, parent, start, **more):
    ...     found = {"$ai_span_id": id, "$ai_parent_id": parent, "$ai_span_name": name}
    ...     found |= {"$otel_start_time_unix_nano": str(start), "$ai_latency": 0.25} | more
    ...     return {"event": "$ai_span", "properties": found}
    >>> tree = [event("answer", "1", None, 0), event("write", "2", "1", 1)]
    >>> print("\\n".join(lines([*tree, event("write", "3", "1", 2)])))
    answer, 250 ms
      write, 2 times
    """
    properties = sorted((event["properties"] for event in events), key=_start)
    known = {one["$ai_span_id"] for one in properties}
    below: dict[str | None, list[Properties]] = {}
    for one in properties:
        parent = one.get("$ai_parent_id")
        below.setdefault(parent if parent in known else None, []).append(one)
    return list(_lines(below, None, ""))


def _lines(
    below: Mapping[str | None, list[Properties]], parent: str | None, indent: str
) -> Iterator[str]:
    for name, group in groupby(below.get(parent, ()), key=lambda one: one["$ai_span_name"]):
        calls = list(group)
        if len(calls) > 1 and not any(one["$ai_span_id"] in below for one in calls):
            yield f"{indent}{name}, {len(calls)} times"
            continue
        for one in calls:
            yield indent + _line(one)
            yield from _lines(below, one["$ai_span_id"], indent + "  ")


def _line(one: Properties) -> str:
    told = [one["$ai_span_name"], f"{one['$ai_latency'] * 1000:.0f} ms"]
    if "$ai_input_tokens" in one and "$ai_output_tokens" in one:
        told.append(f"{one['$ai_input_tokens']} + {one['$ai_output_tokens']} tokens")
    if "$ai_total_cost_usd" in one:
        told.append(f"{one['$ai_total_cost_usd']:.6f} $")
    return ", ".join(told)


def _start(one: Properties) -> int:
    return int(one["$otel_start_time_unix_nano"])
