"""What the demo takes for a right timeline."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from demo.failure import DemoError
from demo.timeline import Expected, check, name_of, table
from rich.console import Console


def event(name: str, **properties: Any) -> dict[str, Any]:
    return {
        "kind": "exception" if name == "$exception" else "event",
        "event": name,
        "uuid": f"{name} {properties}",
        "at": "2026-01-01T10:00:00.000Z",
        "source": "web",
        "properties": properties,
    }


VISIT = [Expected("opened", 1), Expected("$identify", 2), Expected("joined", 2)]


def test_entries_of_one_step_come_in_any_order() -> None:
    check([event("opened"), event("joined"), event("$identify")], VISIT)
    check([event("opened"), event("$identify"), event("joined")], VISIT)


@pytest.mark.parametrize(
    "names",
    [
        ["joined", "opened", "$identify"],
        ["opened", "$identify"],
        ["opened", "$identify", "joined", "surprise"],
    ],
)
def test_another_order_or_other_entries_are_wrong(names: list[str]) -> None:
    with pytest.raises(DemoError, match="should be opened, "):
        check([event(name) for name in names], VISIT)


def test_an_entry_twice_is_wrong() -> None:
    entries = [event("opened"), event("joined"), event("$identify"), event("$identify")]
    with pytest.raises(DemoError, match="more than once"):
        check(entries, VISIT)


def test_a_value_of_a_flag_is_seen_once() -> None:
    on = {"$feature_flag": "a", "$feature_flag_response": True}
    expected = [Expected("$feature_flag_called", 0)]
    check([event("$feature_flag_called", **on)], expected)
    seen = [event("$feature_flag_called", **on, n=n) for n in (1, 2)]
    with pytest.raises(DemoError, match="more than once"):
        check(seen, expected)


def test_what_posthog_js_adds_by_itself_is_counted_and_not_checked() -> None:
    entries = [event("$autocapture", n=1), event("opened"), event("$autocapture", n=2)]
    check(entries, [Expected("opened", 1)])
    printed = StringIO()
    Console(width=100, file=printed).print(table("ada", entries))
    assert "2 $autocapture" in printed.getvalue()


def test_a_line_of_the_console_is_told_from_a_line_of_a_function() -> None:
    line = {"kind": "log", "source": "posthog-browser-logs"}
    assert name_of(line) == "console"
    assert name_of({**line, "source": "convex"}) == "log"
