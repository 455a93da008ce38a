"""The page of queues: how each fares, and how to what was set aside."""

from __future__ import annotations

from typing import Any

from visiting import Visitor

EVENTS = {
    "component": "posthog",
    "queue": "events",
    "waiting": 7,
    "bytes": 700,
    "oldestMs": 1000.0,
    "sent": 1034,
    "dropped": 0,
    "setAside": 2,
    "state": "pausing after a failure",
    "missing": ["TOKEN"],
    "lastError": "answered 400: <b>no</b>",
}


def visitor(*found: dict[str, Any]) -> Visitor:
    async def listed() -> list[dict[str, Any]]:
        return list(found)

    return Visitor(queues=listed)


def test_each_is_shown_with_what_was_set_aside() -> None:
    quiet = {**EVENTS, "component": "", "setAside": 0, "oldestMs": None, "lastError": None}
    someone = visitor(EVENTS, quiet)
    assert someone.get("/dashboard/queues").status_code == 303
    someone.sign_in()
    page = someone.get("/dashboard/queues").text
    assert "<h2>posthog/events</h2>" in page
    assert "<h2>events</h2>" in page
    assert "<dt>set aside</dt><dd>2</dd>" in page
    assert "1970-01-01T00:00:01Z" in page
    assert "Waits for TOKEN" in page
    assert "answered 400: &lt;b&gt;no&lt;/b&gt;" in page
    assert page.count("pyconvex queues show ") == 1
    assert "<code>pyconvex queues show posthog/events</code>" in page


def test_where_there_are_none_the_page_says_so() -> None:
    someone = visitor()
    someone.sign_in()
    assert "The app declares no queues." in someone.get("/dashboard/queues").text
