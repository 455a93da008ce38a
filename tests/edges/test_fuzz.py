"""Every route and message under nonsense: documented answers only, and nothing breaks inside."""

from __future__ import annotations

import contextlib
import json
import random
from http.client import HTTPConnection
from urllib.parse import urlsplit

import httpx2
import pytest
from nonsense import Ask, Nonsense
from serving import Served
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

pytestmark = pytest.mark.usefixtures("nothing_broke")

DOCUMENTED = {200, 400, 401, 403, 404, 405, 413}
#: Normal, going away, protocol error, unacceptable, no code, not UTF-8, policy, too big, again.
CLOSES = {1000, 1001, 1002, 1003, 1005, 1007, 1008, 1009, 1013}
FROM_SERVER = {
    *("Transition", "TransitionChunk", "MutationResponse", "ActionResponse", "AuthError"),
    *("FatalError", "Ping"),
}
PATIENCE_S = 30.0
#: A socket that was silent for so long has said all that it had to, or says it to nobody.
QUIET_S = 0.05


def ask_all(served: Served, seed: int, count: int) -> None:
    nonsense = Nonsense(seed, served.admin_key)
    address = urlsplit(served.url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        _ask_all(connection, nonsense, seed, count)


def _ask_all(connection: HTTPConnection, nonsense: Nonsense, seed: int, count: int) -> None:
    for number in range(count):
        asked = nonsense.ask()
        headers = {name: value.encode() for name, value in asked.headers.items()}
        connection.request(asked.method, asked.path, asked.body, headers)  # type: ignore[arg-type]
        response = connection.getresponse()
        body = response.read()
        try:
            check_answer(asked, response.status, dict(response.getheaders()), body)
        except AssertionError as error:
            error.add_note(f"seed {seed}, request {number}: {asked}"[:2000])
            raise


def check_answer(asked: Ask, status: int, headers: dict[str, str], body: bytes) -> None:
    assert status in DOCUMENTED, (status, body)
    is_json = headers.get("content-type") == "application/json"
    if is_json and asked.method != "HEAD" and asked.path != "/echo":
        answer = json.loads(body)
        assert status == 200 or (set(answer) == {"code", "message"} and answer["message"])
        if status == 200 and asked.path in ("/api/query", "/api/mutation", "/api/action"):
            assert answer["status"] in ("success", "error")
    if "origin" in asked.headers:
        assert headers["access-control-allow-origin"] == asked.headers["origin"]


def converse(served: Served, nonsense: Nonsense) -> None:
    """Say everything; every frame that comes back is a message, and every end is a close."""
    url = served.url.replace("http", "ws") + "/api/sync"
    with connect(url, open_timeout=PATIENCE_S, close_timeout=PATIENCE_S) as socket:
        try:
            for said in nonsense.conversation():
                socket.send(said)
            while True:
                message = json.loads(socket.recv(timeout=QUIET_S))
                assert message["type"] in FROM_SERVER
        except TimeoutError:
            return
        except ConnectionClosed as end:
            closed = end.rcvd
    assert closed is not None, "it was cut without a word"
    assert closed.code in CLOSES, closed


def still_works(served: Served) -> None:
    body = {"path": "things:echo", "args": {"value": "still"}}
    answer = httpx2.post(f"{served.url}/api/query", json=body, timeout=PATIENCE_S).json()
    assert answer["value"] == "still"


def test_no_request_makes_an_internal_error(served: Served) -> None:
    ask_all(served, seed=1, count=2500)
    still_works(served)


def test_no_message_makes_an_internal_error(served: Served) -> None:
    nonsense = Nonsense(2, served.admin_key)
    for _ in range(60):
        converse(served, nonsense)
    still_works(served)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_no_request_of_very_many_makes_an_internal_error(served: Served) -> None:
    ask_all(served, seed=random.randrange(2**32), count=100_000)
    still_works(served)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_no_message_of_very_many_makes_an_internal_error(served: Served) -> None:
    nonsense = Nonsense(random.randrange(2**32), served.admin_key)
    for _ in range(5_000):
        converse(served, nonsense)
    still_works(served)


@pytest.mark.parametrize("route", ["/api/query", "/api/mutation", "/api/action", "/api/run/a/b"])
def test_a_body_that_is_too_large_is_refused_before_it_is_sent(served: Served, route: str) -> None:
    address = urlsplit(served.url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=PATIENCE_S)
    connection.putrequest("POST", route)
    connection.putheader("content-type", "application/json")
    connection.putheader("content-length", str(10**12))
    connection.endheaders(b'{"path": "')  # and nothing more
    response = connection.getresponse()
    assert response.status == 413
    assert json.loads(response.read())["code"] == "PayloadTooLarge"
    connection.close()


def test_a_message_that_is_too_large_ends_its_connection_alone(served: Served) -> None:
    url = served.url.replace("http", "ws") + "/api/sync"
    with connect(url, open_timeout=PATIENCE_S) as socket:
        with contextlib.suppress(ConnectionClosed):  # it may end before all is sent
            socket.send("x" * (18 * 1024 * 1024))
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=PATIENCE_S)
        # The reason may be lost on a client that is still sending when the server stops reading.
        assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
    still_works(served)
