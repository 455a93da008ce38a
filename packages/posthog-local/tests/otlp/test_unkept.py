"""Metrics and other traces are accepted, and said not to be kept."""

from __future__ import annotations

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from posthog_local.ingest.warning import REASONS
from posthog_local.testing import PostHogLocal


def post(local: PostHogLocal, path: str, body: bytes, token: str = "phc_a") -> int:
    request = Request(local.url + path, body, {"Authorization": f"Bearer {token}"})
    try:
        with urlopen(request) as response:
            assert json.load(response) == {}
            return int(response.status)
    except HTTPError as error:
        with error:
            return int(error.code)


_SPANS: Any = {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "GET /cart"}]}]}]}


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/i/v1/metrics", "metrics_not_kept"), ("/v1/traces", "traces_not_kept")],
)
def test_what_is_not_kept_is_accepted_with_a_warning(
    local: PostHogLocal, path: str, kind: str
) -> None:
    assert post(local, path, json.dumps(_SPANS).encode()) == 200
    [warning] = local.warnings()
    assert (warning["kind"], warning["reason"]) == (kind, REASONS[kind])
    assert "GET /cart" in warning["payload"]


def test_a_key_of_the_wrong_kind_and_nonsense_are_refused(local: PostHogLocal) -> None:
    assert post(local, "/i/v1/metrics", b"{}", token="phx_a") == 401
    assert post(local, "/i/v1/traces", b"nonsense") == 400
