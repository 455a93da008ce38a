"""The authenticator of a deployment."""

from __future__ import annotations

import asyncio
import base64

import pytest

from pyconvex.auth import AdminKey, DeploymentAuthenticator
from pyconvex.identity import ANONYMOUS, Admin, AuthenticationError, Identity
from pyconvex.values import codec

AUTHENTICATOR = DeploymentAuthenticator(AdminKey("x|goodkey"))


def of_header(header: str | None) -> Identity:
    return asyncio.run(AUTHENTICATOR.header(header)).identity


def refusal(header: str) -> tuple[int, str]:
    with pytest.raises(AuthenticationError) as caught:
        of_header(header)
    return caught.value.status, caught.value.code


def acting_as(identity_json: str) -> str:
    return "Convex x|goodkey:" + base64.b64encode(identity_json.encode()).decode()


def test_nobody_without_header() -> None:
    assert of_header(None) == ANONYMOUS


def test_the_key_makes_an_administrator() -> None:
    assert of_header("Convex x|goodkey") == Admin()
    assert of_header("convex prod:x|goodkey") == Admin()


def test_another_key_is_a_401() -> None:
    assert refusal("Convex x|badkey") == (401, "BadAdminKey")


def test_a_token_without_providers_is_a_401() -> None:
    assert refusal("Bearer e30.e30.c2ln") == (401, "InvalidAuthHeader")
    assert refusal("Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2ln") == (401, "NoAuthProvider")


def test_acting_as_keeps_the_attributes_and_fills_in_the_identifier() -> None:
    identity = of_header(acting_as('{"issuer":"i","subject":"s","level":3,"name":"Ann"}'))
    assert isinstance(identity, Admin)
    assert identity.acting_as is not None
    assert identity.acting_as.token_identifier == "i|s"
    assert codec.decode(identity.acting_as.attributes) == {
        "issuer": "i",
        "subject": "s",
        "level": 3.0,
        "name": "Ann",
        "tokenIdentifier": "i|s",
    }


def test_acting_as_over_the_socket_comes_beside_the_key() -> None:
    verified = asyncio.run(AUTHENTICATOR.admin_key("x|goodkey", b'{"tokenIdentifier":"t"}'))
    assert isinstance(verified.identity, Admin)
    assert verified.identity.acting_as is not None
    assert verified.identity.acting_as.token_identifier == "t"


@pytest.mark.parametrize(
    "identity_json",
    ["", "[]", "{}", '{"issuer":"i"}', '{"issuer":1,"subject":"s"}', '{"a":{"$b":1}}'],
)
def test_acting_as_needs_to_name_somebody(identity_json: str) -> None:
    assert refusal(acting_as(identity_json)) == (400, "InvalidAdminKey")


def test_a_wrong_key_is_told_before_a_wrong_identity() -> None:
    assert refusal("Convex x|badkey:" + base64.b64encode(b"[]").decode()) == (401, "BadAdminKey")


def test_acting_as_somebody_who_signed_up_here() -> None:
    user, session = "j57000820c20a1g7104gm2rc1m70ynr8", "j57000820c20a1g7104gm2rc1m70ynr8"
    for subject, person in (
        (f"{user}|{session}", user),
        ("auth0|6543", "auth0|6543"),
        (user, user),
    ):
        identity = of_header(acting_as(f'{{"issuer":"i","subject":"{subject}"}}'))
        assert isinstance(identity, Admin)
        assert identity.acting_as is not None
        assert identity.acting_as.person == person
