"""A person's timeline in PostHog Local: waiting for it, checking it, printing it.

Owns what counts as right: entries of one step in any order, steps in their order, none doubled.
Never asks anything but PostHog Local. One invariant: an entry that no step expects fails the visit,
but for those that posthog-js adds by itself.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from rich.table import Table
from rich.text import Text

from demo.failure import DemoError
from posthog_local.testing import PostHogLocal

#: One entry, as PostHog Local's control API gives it.
Entry: TypeAlias = Mapping[str, Any]

#: What posthog-js sends by itself: how much of it comes depends on the browser's pace.
BY_ITSELF = frozenset(
    {"$$heatmap", "$autocapture", "$dead_click", "$pageleave", "$rageclick", "$set", "$web_vitals"}
)
EXPOSURE = "$feature_flag_called"
#: The steps of a trace: its step of the visit draws them as a tree.
_WITHIN_TRACES = frozenset({"$ai_span"})
_UNCOUNTED = BY_ITSELF | _WITHIN_TRACES
#: Who sent an entry, in a word.
_SOURCES = {
    "web": "browser",
    "posthog-browser-logs": "browser",
    "posthog-convex-python": "functions",
    "hedgehog-shop": "functions",
}
#: Between two looks at the timeline, in seconds.
_PAUSE_S = 0.25


@dataclass(frozen=True)
class Expected:
    """An entry that should be on the timeline; step 0 stands for any number of times, any time."""

    name: str
    step: int


def name_of(entry: Entry) -> str:
    """The event's name, or the kind of an entry that is no event; a line of the browser's console,
    which posthog-js sends as a log, is `console`.
    """
    if entry["kind"] == "log" and entry.get("source") == "posthog-browser-logs":
        return "console"
    return str(entry.get("event") or entry["kind"])


def wait_for(
    local: PostHogLocal, person: str, expected: Sequence[Expected], timeout_s: float
) -> list[Entry]:
    """The timeline once everything that is expected has come; `DemoError` says what has not."""
    wanted = Counter(one.name for one in expected if one.step)
    wanted |= Counter({one.name: 1 for one in expected})
    deadline = time.monotonic() + timeout_s
    while True:
        entries = local.timeline(person) if person else []
        missing = wanted - Counter(name_of(entry) for entry in entries)
        if not missing:
            return list(entries)
        if time.monotonic() > deadline:
            seen = ", ".join(name_of(entry) for entry in entries) or "nothing"
            raise DemoError(
                f"{', '.join(sorted(missing))} of {person or 'the visitor'} did not come to "
                f"PostHog Local within {timeout_s:.0f} s. On the timeline: {seen}."
            )
        time.sleep(_PAUSE_S)


def check(entries: Sequence[Entry], expected: Sequence[Expected]) -> None:
    """What a person may rely on; raises `DemoError` where the timeline is another.

    >>> seen = [{"kind": "event", "event": "opened"}, {"kind": "event", "event": "bought"}]
    >>> check(seen, [Expected("opened", step=1), Expected("bought", step=2)])
    >>> check(seen, [Expected("bought", step=1), Expected("opened", step=2)])
    Traceback (most recent call last):
    demo.failure.DemoError: The timeline should be bought, opened, but it is opened, bought.
    """
    _check_once(entries)
    sometime = {one.name for one in expected if one.step == 0}
    seen = [name_of(entry) for entry in entries if name_of(entry) not in sometime | _UNCOUNTED]
    steps = [
        sorted(one.name for one in expected if one.step == step)
        for step in sorted({one.step for one in expected} - {0})
    ]
    left = list(seen)
    for step in steps:
        if sorted(left[: len(step)]) != step:
            break
        del left[: len(step)]
    else:
        if not left:
            return
    should = ", ".join(name for step in steps for name in step)
    raise DemoError(f"The timeline should be {should}, but it is {', '.join(seen)}.")


def _check_once(entries: Sequence[Entry]) -> None:
    """No event twice, and no value of a flag counted twice as seen."""
    uuids = Counter(entry["uuid"] for entry in entries if entry.get("uuid"))
    values = Counter(
        (entry["properties"]["$feature_flag"], entry["properties"]["$feature_flag_response"])
        for entry in entries
        if name_of(entry) == EXPOSURE
    )
    doubled = [str(one) for counts in (uuids, values) for one, n in counts.items() if n > 1]
    if doubled:
        raise DemoError(f"On the timeline more than once: {', '.join(doubled)}.")


def table(person: str, entries: Sequence[Entry]) -> Table:
    """The timeline as a person reads it; what posthog-js adds by itself is counted below."""
    added = Counter(name_of(entry) for entry in entries if name_of(entry) in BY_ITSELF)
    drawn = Table(
        title=f"Timeline of {person} in PostHog Local",
        title_justify="left",
        caption="And by itself: " + ", ".join(f"{n} {name}" for name, n in added.items())
        if added
        else None,
        caption_justify="left",
    )
    drawn.add_column("at", no_wrap=True)
    drawn.add_column("what", no_wrap=True)
    drawn.add_column("from", no_wrap=True)
    drawn.add_column("with", overflow="fold", ratio=1)
    for entry in entries:
        if name_of(entry) in _UNCOUNTED:
            continue
        drawn.add_row(entry["at"][11:23], name_of(entry), _source(entry), Text(_told(entry)))
    return drawn


def _source(entry: Entry) -> str:
    """Who sent it, in a word."""
    if name_of(entry).startswith("$ai_"):
        return "functions"
    source = str(entry.get("source") or "")
    return _SOURCES.get(source, source)


def _told(entry: Entry) -> str:
    """What one would look at first: the app's own properties, or what an event is about."""
    properties = entry.get("properties") or {}
    match name_of(entry):
        case "$pageview" | "$pageleave":
            return urlsplit(str(properties.get("$current_url", ""))).path
        case "$exception":
            types = properties.get("$exception_types") or ["?"]
            return f"{types[0]} {_json(_own(properties))}"
        case "$feature_flag_called":
            told = {properties["$feature_flag"]: properties["$feature_flag_response"]}
        case "$ai_trace":
            return str(properties.get("$ai_span_name", ""))
        case "$ai_generation":
            tokens = (properties.get("$ai_input_tokens"), properties.get("$ai_output_tokens"))
            return f"{properties.get('$ai_model')}, {tokens[0]} + {tokens[1]} tokens"
        case "replay":
            return f"{entry['duration_s']:.0f} s, {entry['clicks']} clicks"
        case "log" | "console":
            return str(entry.get("body", "")).partition("\n")[0]
        case _:
            told = _own(properties) or properties.get("$set") or {}
    return _json(told)


def _own(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The app's own properties; PostHog's begin with `$`, and the host adds where it was."""
    return {
        name: value
        for name, value in properties.items()
        if not name.startswith(("$", "convex_")) and name not in ("distinct_id", "token")
    }


def _json(told: Mapping[str, Any]) -> str:
    return json.dumps(told, ensure_ascii=False) if told else ""
