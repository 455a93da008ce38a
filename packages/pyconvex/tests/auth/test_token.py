"""Tokens taken apart."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.auth.token import MAX_TOKEN_CHARS, numeric_date, parse_token
from pyconvex.identity import AuthenticationError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def token(claims: Any, **header: Any) -> str:
    return f"{part({'alg': 'RS256', **header})}.{part(claims)}.c2ln"


def code(text: str) -> str:
    refused = refusal(text)
    assert refused is not None
    assert refused.status == 401
    return refused.code


def refusal(text: str) -> AuthenticationError | None:
    try:
        parse_token(text)
    except AuthenticationError as error:
        return error
    return None


@given(st.dictionaries(st.text(max_size=8), JSON))
def test_claims_come_back_as_they_were_written(claims: dict[str, Any]) -> None:
    parsed = parse_token(token(claims, kid="k"))
    assert parsed.claims == claims
    assert (parsed.algorithm, parsed.key_id) == ("RS256", "k")
    assert isinstance(parsed.issuer, str)
    assert isinstance(parsed.subject, str)
    assert all(isinstance(name, str) for name in parsed.audiences)


@given(st.text() | st.lists(st.text(alphabet="abAB01-_=+/. é", max_size=12)).map(".".join))
def test_whatever_comes_in_is_a_token_or_a_refusal_that_does_not_repeat_it(text: str) -> None:
    refused = refusal(text)
    if refused is not None:
        assert refused.code == "InvalidAuthHeader"
        assert len(text) < 12 or text not in refused.message


@given(JSON, JSON)
def test_parts_that_are_json_and_something_else_are_refused(header: Any, claims: Any) -> None:
    text = f"{part(header)}.{part(claims)}.c2ln"
    refused = refusal(text)
    if refused is not None:
        assert refused.code == "InvalidAuthHeader"
    else:
        parsed = parse_token(text)
        assert isinstance(header, dict)
        assert parsed.algorithm == header["alg"]
        assert parsed.claims == claims


@pytest.mark.parametrize(
    "text",
    [
        *("", "a.b.c", "a.b", "a.b.c.d", f"{part({'alg': 'RS256'})}.{part([1])}.c2ln"),
        *(token({}, crit=["exp"]), token({}, b64=False), token({}).replace(".", "=.", 1)),
    ],
)
def test_what_is_no_token(text: str) -> None:
    assert code(text) == "InvalidAuthHeader"


def test_a_token_can_not_be_endless() -> None:
    assert code("a" * (MAX_TOKEN_CHARS + 1)) == "InvalidAuthHeader"


def test_audience_is_a_text_or_a_list() -> None:
    assert parse_token(token({"aud": "a"})).audiences == ("a",)
    assert parse_token(token({"aud": ["a", 1, "b"]})).audiences == ("a", "b")
    assert parse_token(token({"aud": {"a": 1}})).audiences == ()


@pytest.mark.parametrize("value", ["1", True, [], float("1e300")])
def test_a_time_is_a_number_of_seconds(value: Any) -> None:
    with pytest.raises(ValueError, match="exp"):
        numeric_date({"exp": value}, "exp")
    assert numeric_date({"exp": 5}, "exp") == 5.0
    assert numeric_date({}, "exp") is None


def test_a_token_does_not_show_itself() -> None:
    text = token({"iss": "https://i", "secret": "x"})
    assert text.split(".")[1] not in repr(parse_token(text))
