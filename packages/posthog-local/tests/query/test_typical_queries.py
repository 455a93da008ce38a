"""Queries as PostHog's users write them: how many of them are answered.

`typical_queries.sql` holds one a line. What is refused stands there behind `-- refused:` with a
piece of what is said, so the two kinds change places in one line.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_local.query.dialect import translate
from posthog_local.query.refusal import QueryRefused
from posthog_local.testing import PostHogLocal

_REFUSED = " -- refused: "
_LINES = (Path(__file__).parent / "typical_queries.sql").read_text().splitlines()
_EVENTS = [
    {"event": "$pageview", "distinct_id": "ada", "properties": {
        "$current_url": "https://shop.example/docs/?utm_source=ad", "$session_id": "0193",
        "plan": "pro", "total": 5, "tags": ["a", "b"], "items": [{"sku": "s1"}],
        "$pathname": "/a/b", "$groups": {"company": "acme"}}},
    {"event": "paid", "distinct_id": "ada", "properties": {"total": "7.5"}},
    {"event": "$pageview", "distinct_id": "bob"},
]  # fmt: skip


def test_every_query_is_answered_or_refused_as_it_says(local: PostHogLocal) -> None:
    body = json.dumps({"api_key": "phc_a", "batch": _EVENTS}).encode()
    urlopen(local.url + "/batch/", body).close()
    wrong = list[str]()
    for line in _LINES:
        text, _, expected = line.partition(_REFUSED)
        said = asked(local, text)
        if (said != "") != (expected != "") or expected not in said:
            wrong.append(f"{text}\n    {said or 'is answered'}")
    assert not wrong, "\n".join(wrong)
    assert sum(_REFUSED not in line for line in _LINES) >= 145


@given(
    st.sampled_from(_LINES),
    st.integers(0, 200),
    st.integers(0, 3),
    st.sampled_from(["", "'", "(", ")", ",", "->", "{", "}", '"', "\\", " FROM ", "\x00", "NULL "]),
)
@settings(max_examples=300, deadline=None)
def test_nonsense_is_refused_and_nothing_else(line: str, at: int, cut: int, put: str) -> None:
    text = line.partition(_REFUSED)[0]
    place = at % len(text)
    with contextlib.suppress(QueryRefused):
        translate(text[:place] + put + text[place + cut :])


def asked(local: PostHogLocal, text: str) -> str:
    """What is said against a query; nothing when it is answered."""
    body = {"query": {"kind": "HogQLQuery", "query": text, "values": {"who": "ada"}}}
    request = Request(
        local.url + "/api/projects/@current/query/",
        json.dumps(body).encode(),
        {"authorization": f"Bearer {local.personal_api_key}"},
    )
    try:
        urlopen(request).close()
    except HTTPError as error:
        with error:
            return str(json.load(error)["detail"])
    return ""
