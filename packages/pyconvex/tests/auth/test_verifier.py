"""Which tokens are believed."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Sequence
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from issuing import (
    auth0_claims,
    clerk_claims,
    ec_key,
    ed25519_key,
    key_set,
    public_jwk,
    rsa_key,
    signed,
)

from pyconvex.auth import verifier
from pyconvex.auth.fetching import Fetched, FetchError
from pyconvex.auth.keyring import DEFAULT_AGE_S, RETRY_S, Keyring
from pyconvex.auth.verifier import LEEWAY_S, TokenVerifier, Trust
from pyconvex.identity import AuthenticationError, User, Verified
from pyconvex.runtime.settings.trust import Resolved
from pyconvex.values import codec

NOW_S = 1_700_000_000.0
CLERK = "https://clerk.shop.example"
AUTH0 = "https://shop.eu.auth0.com"
SITE = "http://127.0.0.1:3211"
OWN = rsa_key("own")
PROVIDERS = (
    Resolved(CLERK, "convex"),
    Resolved(AUTH0, "yTf3kClientId"),
    Resolved("https://custom.example", None, "https://keys.example/jwks", "ES256"),
    Resolved("https://data.example", "app", "data:,", "RS256"),
    Resolved(SITE, "convex"),
)


class Setting:
    """A verifier whose network is a table of documents."""

    def __init__(self, providers: Sequence[Resolved] = PROVIDERS) -> None:
        self.now_s = NOW_S
        self.keys = {
            f"{CLERK}/jwks": [public_jwk(rsa_key("one"), "one")],
            f"{AUTH0}/jwks": [public_jwk(rsa_key("two"), "two")],
            "https://keys.example/jwks": [public_jwk(ec_key("custom"), "c")],
        }
        self.down = False
        self.asked = 0
        own = key_set(public_jwk(OWN, None)).decode()
        self.trust = Trust(providers, SITE, own)
        keyring = Keyring(self.fetch, now_s=lambda: self.now_s)
        self.verifier = TokenVerifier(lambda: self.trust, keyring, now_s=lambda: self.now_s)

    async def fetch(self, url: str) -> Fetched:
        self.asked += 1
        if self.down:
            raise FetchError(f"{url} did not answer", passing=True)
        issuer, found, _ = url.partition("/.well-known/openid-configuration")
        if found:
            slash = "/" if issuer == AUTH0 else ""
            document = {"issuer": issuer + slash, "jwks_uri": f"{issuer}/jwks"}
            return Fetched(json.dumps(document).encode())
        return Fetched(key_set(*self.keys[url]))

    def verify(self, token: str) -> Verified:
        return asyncio.run(self.verifier.verify(token))

    def user(self, token: str) -> User:
        identity = self.verify(token).identity
        assert isinstance(identity, User)
        return identity

    def refusal(self, token: str) -> tuple[int, str, str]:
        with pytest.raises(AuthenticationError) as caught:
            self.verify(token)
        for part in token.split("."):
            assert len(part) < 12 or part not in caught.value.message
        return caught.value.status, caught.value.code, caught.value.message


@pytest.fixture
def setting() -> Setting:
    return Setting()


def clerk(**claims: Any) -> dict[str, Any]:
    return clerk_claims(CLERK, now_s=NOW_S, **claims)


def test_a_token_of_clerk(setting: Setting) -> None:
    verified = setting.verify(signed(clerk(), rsa_key("one")))
    assert isinstance(verified.identity, User)
    assert verified.identity.token_identifier == f"{CLERK}|user_2abc"
    assert verified.identity.person == "user_2abc"
    assert verified.expires_at_s == clerk()["exp"] + LEEWAY_S


def test_an_issuer_with_a_slash_and_a_person_with_a_bar(setting: Setting) -> None:
    user = setting.user(signed(auth0_claims(AUTH0, now_s=NOW_S), rsa_key("two"), kid="two"))
    assert user.issuer == AUTH0 + "/"
    assert user.person == "auth0|6543", "only this deployment's own subjects name a session"


def test_a_token_of_this_deployment_needs_no_network_and_names_a_session(setting: Setting) -> None:
    claims = {
        "iss": SITE,
        "sub": "user1|session1",
        "aud": "convex",
        "iat": NOW_S,
        "exp": NOW_S + 60,
    }
    user = setting.user(signed(claims, OWN, kid=None))
    assert (user.person, user.subject) == ("user1", "user1|session1")
    assert setting.asked == 0
    assert "this deployment" in setting.refusal(signed(claims, rsa_key("one"), kid=None))[2]
    for jwks in (None, "nonsense"):
        setting.trust = Trust(PROVIDERS, SITE, jwks)
        assert setting.refusal(signed(claims, OWN, kid=None))[1] == "Unauthenticated"


def test_a_custom_token(setting: Setting) -> None:
    claims = {"iss": "https://custom.example", "sub": "s", "exp": NOW_S + 9, "plan": {"id": 1}}
    user = setting.user(signed(claims, ec_key("custom"), algorithm="ES256", kid="c"))
    attributes = codec.decode(user.attributes)
    assert isinstance(attributes, dict)
    assert attributes["plan.id"] == 1.0


def test_an_issuer_that_signs_with_ed25519(setting: Setting) -> None:
    setting.keys[f"{CLERK}/jwks"] = [public_jwk(ed25519_key("e"), "one")]
    assert setting.user(signed(clerk(), ed25519_key("e"), algorithm="EdDSA"))


def test_nobody_vouches_for_another_issuer_or_audience(setting: Setting) -> None:
    for wrong in ({"iss": "https://evil.example"}, {"aud": "another"}, {"aud": []}, {"iss": ""}):
        status, code, message = setting.refusal(signed(clerk(**wrong), rsa_key("one")))
        assert (status, code) == (401, "NoAuthProvider")
        assert f"OIDC issuer {CLERK}, audience convex" in message, "says what would be accepted"
    assert Setting(()).refusal(signed(clerk(), rsa_key("one")))[2].endswith("configured.")


def test_a_provider_without_its_variable_is_off() -> None:
    setting = Setting((Resolved("", "convex", missing=("CLERK_DOMAIN",)),))
    _, code, message = setting.refusal(signed(clerk(), rsa_key("one")))
    assert code == "NoAuthProvider"
    assert "off while CLERK_DOMAIN is not set" in message


def unverified(setting: Setting, token: str, why: str) -> None:
    status, code, message = setting.refusal(token)
    assert (status, code) == (401, "Unauthenticated")
    assert why in message


def test_times(setting: Setting) -> None:
    one = rsa_key("one")
    for late in ({"exp": NOW_S - LEEWAY_S}, {"exp": 0}):
        unverified(setting, signed(clerk(**late), one), "expired")
    for early in ({"nbf": NOW_S + 60}, {"iat": NOW_S + 60}):
        unverified(setting, signed(clerk(**early), one), "not valid yet")
    within = {"exp": NOW_S - LEEWAY_S + 1, "nbf": NOW_S + LEEWAY_S, "iat": NOW_S + LEEWAY_S}
    assert setting.user(signed(clerk(**within), one))
    for missing in ("exp", "sub"):
        claims = {name: value for name, value in clerk().items() if name != missing}
        unverified(setting, signed(claims, one), missing)


def forged(claims: dict[str, Any], header: dict[str, Any], signature: str = "") -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in (header, claims)
    ]
    return ".".join([*parts, signature])


def test_a_token_that_nobody_signed(setting: Setting) -> None:
    for algorithm in ("none", "None", "NONE", ""):
        unverified(setting, forged(clerk(), {"alg": algorithm}), "has to be signed")
    unverified(setting, forged(clerk(), {"alg": "RS256", "kid": "one"}), "not signed with a key")


def test_a_public_key_is_no_shared_secret(setting: Setting) -> None:
    pem = (
        rsa_key("one")
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    body = forged(clerk(), {"alg": "HS256", "kid": "one"}).rstrip(".")
    mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signature = base64.urlsafe_b64encode(mac.sign(body.encode(), pem)).decode().rstrip("=")
    unverified(setting, f"{body}.{signature}", "has to be signed with RS256 or EdDSA")


def test_the_algorithm_is_the_provider_s_choice(setting: Setting) -> None:
    claims = {"iss": "https://custom.example", "sub": "s", "exp": NOW_S + 9}
    unverified(setting, signed(claims, rsa_key("one"), kid="c"), "ES256")
    unverified(setting, signed(clerk(), ec_key("custom"), algorithm="ES256"), "CustomJwtProvider")
    unverified(setting, signed(clerk(), rsa_key("one"), algorithm="RS512"), "RS256 or EdDSA")


def test_the_key_has_to_be_the_issuer_s(setting: Setting) -> None:
    unverified(setting, signed(clerk(), rsa_key("two")), "not signed with a key")
    # A key of one provider does not open another's door, and a key in the token opens none.
    unverified(setting, signed(clerk(), rsa_key("two"), kid="two"), "not signed with a key")
    header = {"jwk": public_jwk(rsa_key("two"), "one"), "jku": "https://evil.example/jwks"}
    unverified(setting, signed(clerk(), rsa_key("two"), **header), "not signed with a key")


def test_claims_can_not_be_changed(setting: Setting) -> None:
    head, _, signature = signed(clerk(), rsa_key("one")).split(".")
    _, changed, _ = signed(clerk(sub="admin"), rsa_key("one")).split(".")
    unverified(setting, f"{head}.{changed}.{signature}", "not signed with a key")


def test_an_id_token_is_for_one_audience(setting: Setting) -> None:
    unverified(setting, signed(clerk(aud=["convex", "x"]), rsa_key("one")), "several audiences")
    assert setting.user(signed(clerk(aud=["convex"]), rsa_key("one")))


def test_a_token_may_leave_out_which_key(setting: Setting) -> None:
    setting.keys[f"{CLERK}/jwks"].insert(0, public_jwk(rsa_key("two"), "two"))
    assert setting.user(signed(clerk(), rsa_key("one"), kid=None))


def test_rotated_keys_are_found_and_forgeries_don_t_make_us_ask_again(setting: Setting) -> None:
    assert setting.user(signed(clerk(), rsa_key("one")))
    setting.keys[f"{CLERK}/jwks"] = [public_jwk(rsa_key("three"), "three")]
    setting.now_s += RETRY_S
    assert setting.user(signed(clerk(), rsa_key("three"), kid="three"))
    asked = setting.asked
    for number in range(20):
        setting.refusal(signed(clerk(), rsa_key("two"), kid=f"made-up-{number}"))
    assert setting.asked == asked
    unverified(setting, signed(clerk(), rsa_key("one")), "not signed with a key")


def test_an_issuer_that_is_down(setting: Setting) -> None:
    setting.down = True
    assert setting.refusal(signed(clerk(), rsa_key("one")))[:2] == (
        503,
        "AuthProviderDiscoveryFailed",
    )
    # What needs no key is refused all the same, and nobody is asked for it.
    asked = setting.asked
    unverified(setting, signed(clerk(exp=1), rsa_key("one")), "expired")
    assert setting.asked == asked


def test_a_provider_that_can_not_be_asked(setting: Setting) -> None:
    setting = Setting((Resolved("http://clerk.example", "convex"),))
    token = signed(clerk(iss="http://clerk.example"), rsa_key("one"))
    status, code, message = setting.refusal(token)
    assert (status, code) == (401, "AuthProviderDiscoveryFailed")
    assert "https://" in message
    assert setting.asked == 0


def test_refusals_are_logged_without_the_token(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    token = signed(clerk(exp=1), rsa_key("one"))
    with caplog.at_level(logging.INFO, "pyconvex.auth"):
        setting.refusal(token)
    assert "expired" in caplog.text
    assert not any(part in caplog.text for part in token.split("."))


def test_a_token_that_was_good_is_so_no_longer_than_what_made_it_good(setting: Setting) -> None:
    token = signed(clerk(), rsa_key("one"))
    assert setting.verify(token) is setting.verify(token)
    setting.trust = Trust(PROVIDERS[1:], SITE)
    assert setting.refusal(token)[1] == "NoAuthProvider"
    setting.trust = Trust(PROVIDERS, SITE)
    assert setting.verify(token)
    # Its key is withdrawn: noticed as soon as the set is fetched again.
    setting.keys[f"{CLERK}/jwks"] = [public_jwk(rsa_key("three"), "three")]
    assert setting.verify(token)
    setting.now_s += DEFAULT_AGE_S - 60
    assert setting.verify(token)
    setting.now_s += 120
    unverified(setting, token, "expired")
    token = signed(clerk(exp=NOW_S + 86_400), rsa_key("one"))
    unverified(setting, token, "not signed with a key")


def test_verified_tokens_are_remembered_up_to_a_bound(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier, "MAX_KNOWN", 2)
    for number in range(5):
        assert setting.user(signed(clerk(jti=str(number)), rsa_key("one")))
    assert len(setting.verifier._known) == 2
