"""A full disk: what was answered 200 is there, the rest is refused, and room heals it."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest

from posthog_local.testing import PostHogLocal, running

pytestmark = pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="limits of another process are Linux's"
)
_SENT_AT_MOST = 400


def _send(local: PostHogLocal, uuid: str) -> int:
    event = {
        "event": "filling",
        "distinct_id": "u",
        "uuid": uuid,
        "properties": {"x": "y" * 20_000},
    }
    body = json.dumps({"api_key": "phc_a", "batch": [event]}).encode()
    try:
        with urlopen(Request(local.url + "/batch/", body)) as answer:
            return int(answer.status)
    except HTTPError as refused:
        with refused:
            return refused.code if b"send them again" in refused.read() else 0


def _limit(local: PostHogLocal, size: int) -> None:
    """No file of the server's grows beyond `size` bytes, as if the disk were full."""
    _, hard = resource.prlimit(local.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(local.pid, resource.RLIMIT_FSIZE, (size, hard))


def _stored(local: PostHogLocal) -> set[str]:
    return {one["uuid"] for one in local.request("GET", "/_local/events?limit=10000")["events"]}


def test_a_full_disk_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    with running(data=tmp_path) as local:
        accepted: set[str] = set()
        _limit(local, 1_500_000)
        refused = ""
        for _ in range(_SENT_AT_MOST):
            uuid = str(uuid4())
            status = _send(local, uuid)
            if status != 200:
                assert status == 503
                refused = uuid
                break
            accepted.add(uuid)
        assert refused, "the limit was never felt"
        assert accepted == _stored(local)
        with urlopen(local.url + "/activity") as page:
            assert page.status == 200
        _limit(local, resource.RLIM_INFINITY)
        assert _send(local, refused) == 200
        accepted.add(refused)
        assert accepted == _stored(local)
        local.kill()
        local.restart()
        assert accepted == _stored(local)


def test_a_question_on_a_full_disk_says_so_and_room_heals_it(tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    with running(data=tmp_path) as local:
        _, hard = resource.prlimit(local.pid, resource.RLIMIT_FSIZE)
        for _ in range(30):
            assert _send(local, str(uuid4())) == 200
        _limit(local, 100_000)
        status, answer = _count(local)
        assert (status, answer["type"]) == (503, "server_error")
        assert "could not be written" in answer["detail"]
        assert "make room" in answer["detail"]
        _limit(local, hard)
        assert _count(local) == (200, [[30]])


def _count(local: PostHogLocal) -> tuple[int, Any]:
    body = {"query": {"kind": "HogQLQuery", "query": "SELECT count() FROM events"}}
    request = Request(
        local.url + "/api/projects/@current/query/",
        json.dumps(body).encode(),
        {"authorization": f"Bearer {local.personal_api_key}"},
    )
    try:
        with urlopen(request) as response:
            return response.status, json.load(response)["results"]
    except HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)
