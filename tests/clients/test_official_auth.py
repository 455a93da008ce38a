"""Official clients sign in with an identity provider's tokens: over HTTP and WebSocket, expiry and
refresh included.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx2
import pytest
from driving import Client, ClientError
from serving import Line, Served, in_thread, pyconvex

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "packages" / "pyconvex" / "tests" / "auth"))

from issuing import Issuer, serving  # noqa: E402

from pyconvex.auth.verifier import LEEWAY_S  # noqa: E402

ANN, BO = "user_ann", "user_bo"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with serving() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def served(issuer: Issuer) -> Iterator[Served]:
    with in_thread(partial(pyconvex, HERE / "auth_app")) as served:
        changes = {"changes": [{"name": "DOMAIN", "value": issuer.url}]}
        httpx2.post(
            f"{served.url}/api/update_environment_variables",
            json=changes,
            headers={"authorization": f"Convex {served.admin_key}"},
        ).raise_for_status()
        yield served


def expiring(issuer: Issuer, seconds: float) -> str:
    """A token that counts for about that long, and of which clients think that it has hours."""
    now = time.time()
    return issuer.token(sub=ANN, iat=int(now) - 7200, exp=int(now + seconds - LEEWAY_S))


def test_a_token_over_http(client: Client, issuer: Issuer) -> None:
    client.do("httpSetAuth", token=issuer.token(sub=ANN))
    assert client.call("httpQuery", "who:am_i") == ANN
    assert client.call("httpMutation", "who:note") == ANN
    assert client.call("httpAction", "who:act") == ANN
    client.do("httpSetAuth", token=issuer.token(sub=BO))
    assert client.call("httpQuery", "who:am_i") == BO
    client.do("httpSetAuth", token=expiring(issuer, -60))
    with pytest.raises(ClientError, match="expired"):
        client.call("httpQuery", "who:am_i")


def test_signing_in_and_out_on_a_socket(npm: Client, issuer: Issuer) -> None:
    npm.do("subscribe", name="s", path="who:am_i", args={})
    npm.seen("s", None)
    npm.do("setTokens", tokens=[issuer.token(sub=ANN)])
    npm.wait_for(lambda line: line.get("authenticated") is True)
    npm.seen("s", ANN)
    assert npm.call("mutation", "who:note") == ANN
    assert npm.call("action", "who:act") == ANN
    npm.do("setTokens", tokens=[issuer.token(sub=BO)])
    npm.seen("s", BO)
    npm.do("clearAuth")
    npm.seen("s", None)
    assert npm.call("mutation", "who:note") is None


def test_a_token_that_expires_on_a_socket_is_refreshed_without_a_gap(
    npm: Client, issuer: Issuer
) -> None:
    # Asked for a fresh one at once, this fetcher gives the same token; when it expires, another.
    soon = expiring(issuer, 4)
    npm.do("setTokens", tokens=[soon, soon, issuer.token(sub=ANN)])
    npm.do("subscribe", name="s", path="who:am_i", args={})
    npm.seen("s", ANN)
    while not any(line.get("fetched") == 2 for line in npm.said):
        assert npm.call("mutation", "who:note") == ANN
    assert npm.call("mutation", "who:note") == ANN
    shown = [line["value"] for line in npm.said if line.get("subscription") == "s"]
    assert None not in shown, "at no moment was the client nobody"
    assert not any(line.get("authenticated") is False for line in npm.said)


def test_a_cut_line_keeps_the_identity(npm: Client, line: Line, issuer: Issuer) -> None:
    npm.do("setTokens", tokens=[issuer.token(sub=ANN)])
    npm.do("subscribe", name="s", path="who:am_i", args={})
    npm.seen("s", ANN)
    line.cut()
    assert npm.call("mutation", "who:note") == ANN
    assert not any(line.get("value", ANN) is None for line in npm.said if "subscription" in line)


def test_a_client_whose_tokens_are_all_refused_goes_on_as_nobody(
    npm: Client, issuer: Issuer
) -> None:
    npm.do("subscribe", name="s", path="who:am_i", args={})
    npm.do("setTokens", tokens=[issuer.token(sub=ANN, aud="another")])
    npm.wait_for(lambda line: line.get("authenticated") is False)
    npm.seen("s", None)


def test_the_python_client_signs_in_on_a_socket(
    driver: Callable[[str], Client], line: Line, issuer: Issuer
) -> None:
    client = driver("pypi")
    client.open(line.url)
    client.do("setAuth", token=issuer.token(sub=ANN))
    assert client.call("query", "who:am_i") == ANN
    assert client.call("mutation", "who:note") == ANN
