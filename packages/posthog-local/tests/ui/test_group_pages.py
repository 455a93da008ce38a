"""Groups have pages: their types, what is known of one, and what it did."""

from __future__ import annotations

import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from posthog_local.testing import PostHogLocal


def _get(local: PostHogLocal, path: str) -> str:
    with urlopen(local.url + path) as page:
        return str(page.read().decode())


def _send(local: PostHogLocal, name: str, **properties: object) -> None:
    event = {"api_key": "phc_a", "event": name, "distinct_id": "u", "properties": properties}
    urlopen(Request(local.url + "/e/", json.dumps(event).encode())).close()


def test_without_a_group_the_page_says_how_to_get_one(local: PostHogLocal) -> None:
    assert "No group yet" in _get(local, "/groups")
    with pytest.raises(HTTPError, match="404"):
        _get(local, "/groups/0")


def test_a_group_with_its_events(local: PostHogLocal) -> None:
    _send(local, "order_placed", **{"$groups": {"company": "acme/1"}})
    _send(local, "elsewhere", **{"$groups": {"company": "globex"}})
    assert "nothing is known of one yet" in _get(local, "/groups")
    assert "None. " in _get(local, "/groups/0/acme/1")
    _send(local, "$groupidentify", **{"$group_type": "company", "$group_key": "acme/1",
          "$group_set": {"name": "Acme <b>", "seats": 20}})  # fmt: skip
    listed = _get(local, "/groups")
    assert 'href="/groups/0/acme/1"' in listed
    assert "Acme &lt;b&gt;" in listed
    page = _get(local, "/groups/0/acme/1")
    assert "order_placed" in page
    assert "elsewhere" not in page
    assert "seats" in page
    with pytest.raises(HTTPError, match="404"):
        _get(local, "/groups/4/acme")


def test_fields_suggest_what_came(local: PostHogLocal) -> None:
    _send(local, "order_placed", plan="pro")
    _send(local, "signed_up")
    for path in ("/activity", "/insights", "/funnels"):
        page = _get(local, path)
        assert '<option value="order_placed"></option><option value="signed_up">' in page
    assert '<option value="plan">' in _get(local, "/insights?event=order_placed")
    assert '<option value="plan">' not in _get(local, "/insights?event=signed_up")
