"""Refusals of queries: in words for whoever wrote PostHog's SQL, with what to write instead."""

from __future__ import annotations

import html
import json
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from posthog_local.query.hints import meant, worded
from posthog_local.query.tables import TABLES, columns_of
from posthog_local.testing import PostHogLocal


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select evnt from events", "no column 'evnt'; did you mean event?"),
        ("select evnt from events", "properties.evnt, or person.properties.evnt"),
        ("select e.plan from events e", "no column 'plan'. A property is called properties.plan"),
        ("select plan from persons", "persons has id, properties, created_at, is_identified."),
        ('select 1 from events where event = "paid"', "Text stands in single quotes: 'paid'"),
        ("select groups.key from events", "'groups' is no table of this query"),
        ("select avg(event) from events", "avg does not take VARCHAR"),
        ("select 1 from events where event = 5", "the text 'seen' is compared or computed"),
        ("select cityHash64(event) from events", "the function city_hash64 is not supported"),
    ],
)
def test_a_mistake_is_named_with_what_to_do(local: PostHogLocal, query: str, said: str) -> None:
    body = {"api_key": "phc_a", "event": "seen", "distinct_id": "u"}
    urlopen(local.url + "/e/", json.dumps(body).encode()).close()
    page = local.url + "/sql?" + urlencode({"q": query})
    with urlopen(page) as response:
        assert said in html.unescape(response.read().decode())


def test_what_is_unknown_is_shown_as_it_is() -> None:
    assert worded("Some Error: odd", "select 1", ["events"]) == "Some Error: odd"
    assert meant("windowFunnel", ["count", "uniq"]) == ""


def test_columns_one_by_one() -> None:
    assert columns_of("events")[-1] == "$group_4"
    assert columns_of("gone") == ()
    for table in TABLES:
        assert not any("…" in column for column in columns_of(table))
