"""What does not fit on a page is on the next: nothing is left out, nothing comes twice."""

from __future__ import annotations

import html
import json
import re
from urllib.request import Request, urlopen

from posthog_local.testing import PostHogLocal

_BASE_S = 1_790_000_000


def _get(local: PostHogLocal, path: str) -> str:
    with urlopen(local.url + path) as page:
        return str(page.read().decode())


def _post(local: PostHogLocal, path: str, body: object) -> None:
    urlopen(Request(local.url + path, json.dumps(body).encode())).close()


def _walk(local: PostHogLocal, path: str, link: str, pattern: str) -> list[str]:
    """Everything that matches on a page and on those that its link leads to."""
    found: list[str] = []
    for _ in range(10):
        page = _get(local, path)
        found += re.findall(pattern, page)
        following = re.search(rf'<a href="([^"]+)">{link}</a>', page)
        if following is None:
            return found
        path = html.unescape(following[1])
    raise AssertionError("the pages have no end")


def _send(local: PostHogLocal, count: int, **fields: object) -> None:
    batch = [{"event": f"step-{n:03}", "distinct_id": "u", **fields} for n in range(count)]
    _post(local, "/batch/", {"api_key": "phc_a", "batch": batch})


def test_older_events(local: PostHogLocal) -> None:
    _send(local, 250)
    seen = _walk(local, "/activity", "Older events", r'class="name">(step-\d+)')
    assert seen == [f"step-{n:03}" for n in reversed(range(250))]
    assert "/_assets/live.js" in _get(local, "/activity")
    assert "/_assets/live.js" not in _get(local, "/activity?before=3")


def test_a_person_s_earlier_events_whatever_shares_a_moment(local: PostHogLocal) -> None:
    batch = [
        {
            "event": f"step-{n:03}",
            "distinct_id": "u",
            "timestamp": f"2026-01-01T00:00:{n // 30:02}Z",
        }
        for n in range(450)
    ]
    _post(local, "/batch/", {"api_key": "phc_a", "batch": batch})
    seen = _walk(local, "/person/u", "Earlier", r'class="name">(step-\d+)')
    assert set(seen) == {f"step-{n:03}" for n in range(450)}


def test_older_lines_of_one_moment(local: PostHogLocal) -> None:
    lines = [{"body": {"stringValue": f"line-{n:03}"}} for n in range(450)]
    _post(local, "/v1/logs?token=phc_a", {"resourceLogs": [{"scopeLogs": [{"logRecords": lines}]}]})
    seen = _walk(local, "/logs?search=LINE", "Older lines", r"<summary>(line-\d+)")
    assert seen == [f"line-{n:03}" for n in reversed(range(450))]


def test_persons_and_groups_go_on(local: PostHogLocal) -> None:
    people = [{"event": "e", "distinct_id": f"who-{n:03}"} for n in range(230)]
    _post(local, "/batch/", {"api_key": "phc_a", "batch": people})
    found = _walk(local, "/persons", "Next page", r'href="/person/(who-\d+)"')
    assert sorted(found) == [f"who-{n:03}" for n in range(230)]
    groups = [
        {"event": "$groupidentify", "distinct_id": "u", "properties": {
            "$group_type": "company", "$group_key": f"acme-{n:03}", "$group_set": {"n": n}}}
        for n in range(130)
    ]  # fmt: skip
    _post(local, "/batch/", {"api_key": "phc_a", "batch": groups})
    found = _walk(local, "/groups/0", "Next page", r'href="/groups/0/(acme-\d+)"')
    assert found == [f"acme-{n:03}" for n in range(130)]
