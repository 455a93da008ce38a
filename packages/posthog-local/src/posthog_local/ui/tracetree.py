"""The events of one trace as a tree, with what each branch cost.

Owns parenthood: by span id, else by the trace itself; an event whose parent is missing stands at
the top, and nothing is ever shown twice or lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from posthog_local.store.reader import StoredEvent


class Node(msgspec.Struct, kw_only=True):
    """One event of a trace with its depth in the tree."""

    event: StoredEvent
    depth: int

    @property
    def name(self) -> str:
        """What the line is called."""
        properties = self.event.properties
        for key in ("$ai_span_name", "$ai_trace_name", "$ai_model"):
            if isinstance(properties.get(key), str):
                return str(properties[key])
        return self.event.event


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What a whole trace came to."""

    #: None where nothing says what any of it cost.
    cost_usd: float | None
    input_tokens: int
    output_tokens: int
    latency_s: float
    errors: int


class TraceLine(msgspec.Struct, frozen=True, kw_only=True):
    """A trace in a list of traces."""

    id: str
    name: str
    distinct_id: str
    at_us: int
    count: int
    totals: Totals

    @classmethod
    def of(cls, trace_id: str, events: Sequence[StoredEvent]) -> TraceLine:
        """The line of a trace that has at least one event."""
        top = tree(events)[0]
        return cls(
            id=trace_id,
            name=top.name,
            distinct_id=top.event.distinct_id,
            at_us=top.event.timestamp_us,
            count=len(events),
            totals=totals(events),
        )


def tree(events: Sequence[StoredEvent]) -> list[Node]:
    """The events in the order of a depth-first walk, siblings by time."""
    ordered = sorted(events, key=lambda event: (event.timestamp_us, event.seq))
    # Who names the trace as parent hangs on the event of the trace itself, if there is one.
    ids = {
        _text(event, "$ai_trace_id"): event.seq
        for event in reversed(ordered)
        if event.event == "$ai_trace"
    }
    ids |= {_id(event): event.seq for event in reversed(ordered) if _id(event)}
    children: dict[int | None, list[StoredEvent]] = {}
    for event in ordered:
        parent = ids.get(_text(event, "$ai_parent_id"))
        children.setdefault(parent if parent != event.seq else None, []).append(event)
    nodes: list[Node] = []
    seen: set[int] = set()
    _walk(None, 0, children, nodes, seen)
    # What only refers to itself in a circle is reached from nowhere; it stands at the top.
    nodes += [Node(event=event, depth=0) for event in ordered if event.seq not in seen]
    return nodes


def totals(events: Sequence[StoredEvent]) -> Totals:
    """Sums over a trace; its latency is that of its longest event."""

    def numbers(name: str) -> list[float]:
        values = [event.properties.get(name) for event in events]
        return [float(v) for v in values if isinstance(v, int | float) and abs(v) < 1e15]

    costs = numbers("$ai_total_cost_usd")
    return Totals(
        cost_usd=sum(costs) if costs else None,
        input_tokens=int(sum(numbers("$ai_input_tokens"))),
        output_tokens=int(sum(numbers("$ai_output_tokens"))),
        latency_s=max(numbers("$ai_latency"), default=0.0),
        errors=sum(event.properties.get("$ai_is_error") is True for event in events),
    )


def _walk(
    parent: int | None,
    depth: int,
    children: dict[int | None, list[StoredEvent]],
    nodes: list[Node],
    seen: set[int],
) -> None:
    stack = [(event, depth) for event in reversed(children.get(parent, []))]
    while stack:
        event, level = stack.pop()
        if event.seq in seen:
            continue
        seen.add(event.seq)
        nodes.append(Node(event=event, depth=level))
        stack += [(child, level + 1) for child in reversed(children.get(event.seq, []))]


def _id(event: StoredEvent) -> str:
    return _text(event, "$ai_span_id") or _text(event, "$ai_generation_id")


def _text(event: StoredEvent, name: str) -> str:
    value: Any = event.properties.get(name)
    return value if isinstance(value, str) else ""
