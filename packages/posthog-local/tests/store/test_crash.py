"""`kill -9` under load: every event that was answered with 200 is there, once."""

from __future__ import annotations

import gzip
import json
import random
import threading
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from posthog_local.testing import PostHogLocal, running

_SENDERS = 4


class _Sender(threading.Thread):
    """Sends until the server dies; keeps what was answered, and what may or may not be there."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.address = urlsplit(url)
        self.accepted: set[str] = set()
        self.unanswered: list[dict[str, object]] = []

    def run(self) -> None:
        connection = HTTPConnection(str(self.address.hostname), self.address.port, timeout=10)
        try:
            while True:
                self._send(connection)
        except (OSError, HTTPException):
            pass
        finally:
            connection.close()

    def _send(self, connection: HTTPConnection) -> None:
        batch: list[dict[str, object]] = [
            {"event": "load", "distinct_id": f"u{number % 3}", "uuid": str(uuid4())}
            for number in range(random.randint(1, 20))
        ]
        self.unanswered = batch
        post(connection, batch)
        self.accepted |= {str(one["uuid"]) for one in batch}
        self.unanswered = []


def post(connection: HTTPConnection, batch: list[dict[str, object]]) -> None:
    body = gzip.compress(json.dumps({"api_key": "phc_load", "batch": batch}).encode())
    connection.request("POST", "/batch/", body, {"content-encoding": "gzip"})
    response = connection.getresponse()
    response.read()
    assert response.status == 200


def kill_under_load(local: PostHogLocal, after_s: float) -> list[_Sender]:
    senders = [_Sender(local.url) for _ in range(_SENDERS)]
    for sender in senders:
        sender.start()
    time.sleep(after_s)  # the random moment of the crash is the point of this test
    local.kill()
    for sender in senders:
        sender.join()
    return senders


def crash_repeatedly(data: Path, times: int) -> None:
    expected: set[str] = set()
    with running(data=data) as local:
        for _ in range(times):
            senders = kill_under_load(local, random.uniform(0.05, 0.4))
            expected |= {uuid for sender in senders for uuid in sender.accepted}
            local.restart()
            expected |= _send_again(local, senders)
        stored = _stored(local)
        assert len(stored) == len(set(stored)), "an event is stored twice"
        assert expected == set(stored)
        assert {uuid for sender in senders for uuid in sender.accepted} <= set(stored)


def _send_again(local: PostHogLocal, senders: list[_Sender]) -> set[str]:
    """Repeats what got no answer, as every SDK does: whether it was stored must not matter."""
    address = urlsplit(local.url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=10)
    again = [one for sender in senders for one in sender.unanswered]
    if again:
        post(connection, again)
    connection.close()
    return {str(one["uuid"]) for one in again}


def _stored(local: PostHogLocal) -> list[str]:
    stored: list[str] = []
    after = 0
    while True:
        page = local.request("GET", f"/_local/events?limit=10000&after={after}")["events"]
        if not page:
            return stored
        stored += [one["uuid"] for one in page]
        after = page[-1]["seq"]


def test_a_handful_of_crashes(tmp_path: Path) -> None:
    crash_repeatedly(tmp_path, times=4)


@pytest.mark.long
def test_fifty_crashes(tmp_path: Path) -> None:
    crash_repeatedly(tmp_path, times=50)
