"""Which attributes an identity has."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from issuing import auth0_claims, clerk_claims

from pyconvex.auth.claims import custom_jwt_attributes, oidc_attributes
from pyconvex.values import codec


def oidc(claims: dict[str, Any]) -> Any:
    return codec.decode(oidc_attributes(claims))


def custom(claims: dict[str, Any]) -> Any:
    return codec.decode(custom_jwt_attributes(claims))


def test_a_token_of_clerk() -> None:
    assert oidc(clerk_claims("https://clerk.example")) == {
        "tokenIdentifier": "https://clerk.example|user_2abc",
        "issuer": "https://clerk.example",
        "subject": "user_2abc",
        "name": "Ann Lee",
        "givenName": "Ann",
        "familyName": "Lee",
        "email": "ann@example.com",
        "emailVerified": True,
        "pictureUrl": "https://img.clerk.com/ann",
        "phoneNumberVerified": False,
        "updatedAt": "2023-11-14T22:13:20Z",
        "role": "admin",
    }


def test_a_token_of_auth0() -> None:
    identity = oidc(auth0_claims("https://a.auth0.com"))
    assert identity["tokenIdentifier"] == "https://a.auth0.com/|auth0|6543"
    assert identity["emailVerified"] is True
    assert identity["updatedAt"] == "2024-01-02T03:04:05.678Z"
    assert identity["https://shop.example/roles"] == ["buyer"]
    assert "nonce" not in identity


def test_two_tokens_of_one_login_make_one_identity() -> None:
    first, second = (clerk_claims("https://i", now_s=now) for now in (1000, 9000))
    assert first != second
    assert oidc_attributes(first) == oidc_attributes(second)
    assert custom_jwt_attributes(first) == custom_jwt_attributes(second)


def test_claims_of_a_custom_token_keep_their_names() -> None:
    claims = {
        "iss": "https://i",
        "sub": "s",
        "exp": 9,
        "aud": "a",
        "email_verified": True,
        "properties": {"id": 7, "list": [{"a": 1}], "deep": {"fva": 1}},
        "fva": [1],
    }
    assert custom(claims) == {
        "tokenIdentifier": "https://i|s",
        "issuer": "https://i",
        "subject": "s",
        "email_verified": True,
        "properties.id": 7.0,
        "properties.list": [{"a": 1.0}],
        "properties.deep.fva": 1.0,
    }


def test_no_claim_stands_in_for_who_it_is() -> None:
    forged = {"tokenIdentifier": "https://i|admin", "subject": "admin", "issuer": "x"}
    forged |= {"emailVerified": True, "email": "e"}
    claims = {"iss": "https://i", "sub": "s", **forged}
    assert oidc(claims)["tokenIdentifier"] == "https://i|s"
    assert "emailVerified" not in oidc(claims)
    assert custom(claims)["subject"] == "s"


def test_claims_that_convex_can_not_hold_are_left_out() -> None:
    claims = {"iss": "https://i", "sub": "s", "$price": 1, "größe": 2, "big": 2**70, "ok": 1}
    assert oidc(claims) == {
        "tokenIdentifier": "https://i|s",
        "issuer": "https://i",
        "subject": "s",
        "big": float(2**70),
        "ok": 1.0,
    }


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=10,
)
NAMES = st.sampled_from(["name", "email", "email_verified", "updated_at", "address", "exp"])


@given(st.dictionaries(NAMES | st.text(max_size=8), JSON, max_size=6))
def test_every_token_has_an_identity(claims: dict[str, Any]) -> None:
    claims |= {"iss": "https://i", "sub": "s"}
    for attributes in (oidc_attributes(claims), custom_jwt_attributes(claims)):
        identity = codec.decode(attributes)
        assert isinstance(identity, dict)
        assert identity["tokenIdentifier"] == "https://i|s"
        assert not any(isinstance(v, float) and math.isinf(v) for v in identity.values())
    assert isinstance(oidc(claims).get("email", ""), str)
