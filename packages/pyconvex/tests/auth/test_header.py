"""The `Authorization` header."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.auth import AdminCredential, BearerToken, parse_authorization
from pyconvex.identity import AuthenticationError


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_bearer_in_any_case(scheme: str) -> None:
    assert parse_authorization(f"{scheme} a.b.c") == BearerToken("a.b.c")


def test_convex_is_an_admin_key() -> None:
    assert parse_authorization("Convex x|secret") == AdminCredential("x|secret")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "InvalidHeaderFailure"),
        ("Convex", "InvalidHeaderFailure"),
        ("Basic dXNlcjpwYXNz", "InvalidAdminKey"),
        ("x|secretsecret", "InvalidAdminKey"),
    ],
)
def test_other_headers_are_refused(header: str, code: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        parse_authorization(header)
    assert (caught.value.status, caught.value.code) == (400, code)


@given(st.text())
def test_any_text_gives_a_credential_or_a_refusal(header: str) -> None:
    with contextlib.suppress(AuthenticationError):
        assert parse_authorization(header) is not None
