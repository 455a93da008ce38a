"""When keys are fetched, and what is used while they can't be."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable

import pytest
from issuing import ec_key, ed25519_key, key_set, public_jwk, rsa_key

from pyconvex.auth.fetching import Fetched, FetchError
from pyconvex.auth.keyring import (
    DEFAULT_AGE_S,
    FIRST_RETRY_S,
    MAX_STALE_S,
    MIN_AGE_S,
    RETRY_S,
    Keyring,
    Source,
)
from pyconvex.auth.keys import KeySetError, parse_key_set
from pyconvex.identity import AuthenticationError

SOURCE = Source("https://issuer.example/jwks")
ONE, TWO = (public_jwk(rsa_key(name), name) for name in ("one", "two"))


class Network:
    """Answers and a clock that tests set."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.answers: dict[str, bytes | FetchError] = {SOURCE.url: key_set(ONE)}
        self.max_age_s: float | None = None
        self.asked: list[str] = []
        self.answering = asyncio.Event()
        self.answering.set()
        self.keyring = Keyring(self.fetch, now_s=lambda: self.now_s)

    async def fetch(self, url: str) -> Fetched:
        self.asked.append(url)
        await asyncio.sleep(0)
        await self.answering.wait()
        answer = self.answers[url]
        if isinstance(answer, FetchError):
            raise answer
        return Fetched(answer, self.max_age_s)

    async def ids(self, source: Source = SOURCE) -> list[str | None]:
        return [key.key_id for key in await self.keyring.keys(source)]

    async def newer(self) -> list[str | None]:
        keys = await self.keyring.newer_keys(SOURCE, await self.keyring.keys(SOURCE))
        return [key.key_id for key in keys]


def with_network(test: Callable[[Network], object]) -> Callable[[], None]:
    def run() -> None:
        async def body() -> None:
            await test(Network())  # type: ignore[misc]

        asyncio.run(body())

    run.__name__ = test.__name__
    return run


@with_network
async def test_keys_are_fetched_once_for_all_who_wait(network: Network) -> None:
    found = await asyncio.gather(*(network.ids() for _ in range(20)))
    assert found == [["one"]] * 20
    assert len(network.asked) == 1
    network.now_s += DEFAULT_AGE_S - 1
    await network.ids()
    assert len(network.asked) == 1
    network.now_s += 2
    network.answers[SOURCE.url] = key_set(TWO)
    assert await network.ids() == ["two"]


@with_network
async def test_a_slow_issuer_holds_up_one_caller(network: Network) -> None:
    await network.ids()
    network.now_s += DEFAULT_AGE_S + 1
    network.answering.clear()
    slow = asyncio.create_task(network.ids())
    while len(network.asked) < 2:
        await asyncio.sleep(0)
    network.answers[SOURCE.url] = key_set(TWO)
    assert await network.ids() == ["one"]
    network.answering.set()
    assert await slow == ["two"]
    assert await network.ids() == ["two"]


@with_network
async def test_the_sender_says_how_long_they_are_fresh_within_bounds(network: Network) -> None:
    network.max_age_s = 1.0
    await network.ids()
    network.now_s += MIN_AGE_S - 1
    await network.ids()
    assert len(network.asked) == 1
    network.now_s += 1
    await network.ids()
    assert len(network.asked) == 2


@with_network
async def test_a_key_that_is_not_there_is_looked_for_once_in_a_while(network: Network) -> None:
    await network.ids()
    network.answers[SOURCE.url] = key_set(ONE, TWO)
    assert await network.newer() == ["one"], "they were fetched a moment ago"
    network.now_s += RETRY_S
    assert await network.newer() == ["one", "two"]
    for _ in range(50):
        await network.newer()
    assert len(network.asked) == 2


@with_network
async def test_keys_stay_good_while_their_issuer_is_down(network: Network) -> None:
    await network.ids()
    network.answers[SOURCE.url] = FetchError("nobody answers", passing=True)
    network.now_s += DEFAULT_AGE_S + 1
    assert await network.ids() == ["one"]
    await network.ids()
    assert len(network.asked) == 2, "and it is left in peace for a while"
    network.now_s += MAX_STALE_S
    with pytest.raises(AuthenticationError) as caught:
        await network.ids()
    assert (caught.value.status, caught.value.code) == (503, "AuthProviderDiscoveryFailed")


@with_network
async def test_an_issuer_that_was_never_reached(network: Network) -> None:
    network.answers[SOURCE.url] = FetchError("no route", passing=True)
    for _ in range(3):
        with pytest.raises(AuthenticationError, match="no route") as caught:
            await network.ids()
        assert caught.value.status == 503
    assert len(network.asked) == 1
    network.answers[SOURCE.url] = key_set(ONE)
    network.now_s += FIRST_RETRY_S
    assert await network.ids() == ["one"]


ISSUER = Source("https://issuer.example/", discovery=True)
DISCOVERY = "https://issuer.example/.well-known/openid-configuration"


@with_network
async def test_discovery_leads_to_the_keys(network: Network) -> None:
    network.answers[DISCOVERY] = (
        b'{"issuer":"https://issuer.example","jwks_uri":"https://issuer.example/jwks"}'
    )
    assert await network.ids(ISSUER) == ["one"]
    assert network.asked == [DISCOVERY, SOURCE.url]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"<html>", "no discovery document"),
        (b'{"issuer":"https://other.example","jwks_uri":"https://o/jwks"}', "another issuer"),
        (b'{"issuer":"https://issuer.example","jwks_uri":"http://evil.example/k"}', "https://"),
        (FetchError("it answered 404", passing=False), "404"),
    ],
)
def test_discovery_that_leads_nowhere(answer: bytes | FetchError, why: str) -> None:
    async def body() -> None:
        network = Network()
        network.answers[DISCOVERY] = answer
        with pytest.raises(AuthenticationError, match=why) as caught:
            await network.ids(ISSUER)
        assert caught.value.status == 401, "coming again does not help"

    asyncio.run(body())


@with_network
async def test_keys_in_a_data_uri_are_never_fetched(network: Network) -> None:
    encoded = base64.b64encode(key_set(TWO)).decode()
    assert await network.ids(Source(f"data:text/plain;charset=utf-8;base64,{encoded}")) == ["two"]
    for broken in ("data:application/json", "data:;base64,ä", "data:,nothing"):
        with pytest.raises(AuthenticationError, match="can't be read"):
            await network.ids(Source(broken))
    assert network.asked == []


def test_a_set_keeps_what_can_verify_and_passes_over_the_rest() -> None:
    ed25519 = public_jwk(ed25519_key("e"), "ed")
    found = parse_key_set(
        key_set(
            ONE,
            {**ONE, "use": "enc"},
            {**ONE, "alg": "RS512"},
            {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"},
            {"kty": "RSA", "n": "not a number", "e": "AQAB"},
            public_jwk(ec_key("c"), "ec"),
            {**ed25519, "alg": "Ed25519"},
        )
    )
    assert [(key.key_id, key.algorithm) for key in found] == [
        ("one", "RS256"),
        ("ec", "ES256"),
        ("ed", "EdDSA"),
    ]
    with pytest.raises(KeySetError):
        parse_key_set(b'{"keys": 1}')
