"""What there is: events by name, an event's properties, a property's values."""

from __future__ import annotations

import html
import json
import re
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from posthog_local.testing import PostHogLocal

_XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def send(local: PostHogLocal, *events: tuple[str, dict[str, Any]]) -> None:
    batch = [{"event": name, "distinct_id": "u", "properties": own} for name, own in events]
    urlopen(
        local.url + "/batch/", json.dumps({"api_key": "phc_a", "batch": batch}).encode()
    ).close()


def text_of(local: PostHogLocal, path: str) -> str:
    with urlopen(local.url + path) as response:
        page = response.read().decode()
    assert "<script>alert" not in page
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def test_events_by_name_the_most_frequent_first(local: PostHogLocal) -> None:
    assert "No event yet" in text_of(local, "/data-management")
    send(local, ("rare", {}), ("often", {}), ("often", {}))
    text = text_of(local, "/data-management/events")
    assert text.index("often 2") < text.index("rare 1")


def test_an_event_s_properties_with_types_and_values(local: PostHogLocal) -> None:
    send(local, ("paid", {"plan": "pro", "n": 1}), ("paid", {"plan": "free", "n": "1"}),
         ("paid", {"plan": "pro", "tags": ["a"]}), ("other", {"plan": 5}))  # fmt: skip
    text = text_of(local, "/data-management/events/paid")
    assert "plan 100.0 % text pro free" in text
    assert "n 66.7 % text, number mixed 1" in text
    assert 'tags 33.3 % list ["a"]' in text
    one = text_of(local, "/data-management/properties/plan?event=paid")
    assert "pro 2 66.7 %" in one
    assert "In all events" in one
    every = text_of(local, "/data-management/properties/plan")
    assert "Of mixed types" in every
    assert "paid 3 other 1" in every


def test_names_may_be_anything(local: PostHogLocal) -> None:
    send(local, (_XSS, {"a/b ?#": _XSS, _XSS: 1}))
    assert _XSS in text_of(local, "/data-management/events/" + quote(_XSS, safe=""))
    assert _XSS in text_of(local, "/data-management/properties/" + quote("a/b ?#", safe=""))


@pytest.mark.parametrize("path", ["events/gone", "properties/gone"])
def test_what_never_came_is_missing(local: PostHogLocal, path: str) -> None:
    with pytest.raises(HTTPError, match="404") as missing:
        urlopen(f"{local.url}/data-management/{path}")
    missing.value.close()
