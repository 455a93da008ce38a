from __future__ import annotations

import asyncio
import json

import pytest

from posthog_convex.destination import (
    TOKEN_REQUIRED,
    URL_INVALID,
    Answer,
    Destination,
    NotNow,
    NotVerifiable,
    Rejected,
    Verification,
    Verified,
    host_problem,
    token_problem,
    verify,
)

TOKEN = "phc_canary0123456789"


class Host:
    """Answers with what it was given, in turn, and keeps what it was asked."""

    def __init__(self, *answers: Answer | str) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, bytes]] = []

    async def __call__(self, url: str, body: bytes, /) -> Answer | str:
        self.asked.append((url, body))
        return self.answers.pop(0)


def verified(host: Host, token: str = TOKEN, address: str | None = "http://h/") -> Verification:
    return asyncio.run(verify(Destination(token, address), host))


@pytest.mark.parametrize("token", ["", "   ", "\n"])
def test_a_token_is_required(token: str) -> None:
    assert token_problem(token) == TOKEN_REQUIRED


@pytest.mark.parametrize(
    ("token", "kind"),
    [("phx_1", "personal API key"), (" phs_1", "secret key"), ("pha_1", "access token")],
)
def test_keys_of_the_wrong_kind_are_refused_by_name(token: str, kind: str) -> None:
    said = token_problem(token)
    assert said is not None
    assert kind in said
    assert token.strip() not in said


@pytest.mark.parametrize("token", ['"phc_abc"', "'phc_abc'", "phc_abc`"])
def test_quotes_around_a_token_are_told(token: str) -> None:
    assert token_problem(token) == "There are quotes around the project token; leave them out"


@pytest.mark.parametrize("token", ["phc_a b", "phc_\u00e9", "phc_" + "x" * 61])
def test_what_is_no_token_is_refused_without_showing_it(token: str) -> None:
    said = token_problem(token)
    assert said is not None
    assert token not in said


@pytest.mark.parametrize("token", ["phc_abc", " phc_abc ", "a-token-of-a-self-hosted-project"])
def test_tokens_pass(token: str) -> None:
    assert token_problem(token) is None


@pytest.mark.parametrize(
    "host", [None, "", " ", "https://eu.i.posthog.com", "http://127.0.0.1:8010/", "https://h/p"]
)
def test_hosts_pass(host: str | None) -> None:
    assert host_problem(host) is None


@pytest.mark.parametrize(
    "host",
    [
        *("eu.i.posthog.com", "ftp://h", "https://", "http://h:x", "https://h?a=b", "https://h#f"),
        *("https://user:pw@h", "https://a b", "javascript:alert(1)", "http://h:99999"),
    ],
)
def test_what_is_no_address_is_refused(host: str) -> None:
    assert host_problem(host) == URL_INVALID


def test_the_flags_route_is_asked_with_the_token_in_the_body() -> None:
    host = Host(Answer(200, {"content-type": "application/json"}))
    assert verified(host) == Verified()
    [(url, body)] = host.asked
    assert url == "http://h/flags/?v=2"
    assert json.loads(body) == {"api_key": TOKEN, "distinct_id": "convex-verification"}


def test_a_host_without_that_route_is_asked_the_older_one() -> None:
    host = Host(Answer(404), Answer(200))
    assert verified(host) == Verified()
    assert [url for url, _ in host.asked] == ["http://h/flags/?v=2", "http://h/decide?v=3"]


def test_a_host_with_neither_cannot_tell() -> None:
    found = verified(Host(Answer(404), Answer(404)))
    assert isinstance(found, NotVerifiable)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(401), Rejected),
        (Answer(400), Rejected),
        (Answer(302), Rejected),
        (Answer(200, {"content-type": "text/html; charset=utf-8"}), Rejected),
        (Answer(402), Verified),
        (Answer(429), NotNow),
        (Answer(503), NotNow),
        ("ConnectError: refused", NotNow),
    ],
)
def test_answers(answer: Answer | str, kind: type[Verification]) -> None:
    found = verified(Host(answer))
    assert isinstance(found, kind)
    assert TOKEN not in str(found)


def test_a_wrong_kind_is_refused_without_asking() -> None:
    host = Host()
    found = verified(host, "phx_canary0123456789")
    assert isinstance(found, Rejected)
    assert "phx_canary" not in found.reason
    assert host.asked == []


EU, US = "https://eu.i.posthog.com", "https://us.i.posthog.com"


@pytest.mark.parametrize(("named", "other"), [(EU, US), (US, EU)])
def test_the_other_region_of_the_cloud_is_named_where_it_knows_the_token(
    named: str, other: str
) -> None:
    host = Host(Answer(401), Answer(200))
    found = verified(host, address=named)
    assert [url for url, _ in host.asked] == [f"{named}/flags/?v=2", f"{other}/flags/?v=2"]
    assert found == Rejected(
        f"{named} knows no project with this token (401); {other} knows one, so set the host to "
        "that"
    )


@pytest.mark.parametrize("answer", [Answer(401), Answer(503), "ConnectError: refused"])
def test_where_neither_region_knows_it_the_first_one_speaks(answer: Answer | str) -> None:
    found = verified(Host(Answer(401), answer), address=EU)
    assert found == Rejected(f"{EU} knows no project with this token (401)")
