"""What `doctor` says of identity providers."""

from __future__ import annotations

from pyconvex.auth.advice import advice
from pyconvex.runtime.app.spec import AuthSpec, ProviderSpec, SettingSpec
from pyconvex.runtime.settings.trust import Resolved

CLERK = ProviderSpec(SettingSpec("https://clerk.example"), SettingSpec("convex"))
OWN = ProviderSpec(SettingSpec(source="CONVEX_SITE_URL"), SettingSpec("convex"))
FOUND = Resolved("https://clerk.example", "convex")
SITE = Resolved("http://127.0.0.1:3211", "convex")


def test_an_app_that_is_all_right_hears_nothing() -> None:
    assert advice(AuthSpec(), [], has_key=False) == []
    assert advice(AuthSpec([OWN]), [SITE], has_key=True) == []
    assert advice(AuthSpec([CLERK], user_id_rule=True), [FOUND], has_key=False) == []


def test_a_provider_without_a_rule() -> None:
    (text,) = advice(AuthSpec([CLERK, OWN]), [FOUND, SITE], has_key=True)
    assert "define_app(user_id=…)" in text


def test_what_keeps_a_provider_from_working() -> None:
    rule = {"has_key": False}
    off = Resolved("", "convex", missing=("CLERK_DOMAIN",))
    assert "set CLERK_DOMAIN" in advice(AuthSpec([CLERK], True), [off], **rule)[0]
    plain = Resolved("http://clerk.example", "convex")
    assert "https://" in advice(AuthSpec([CLERK], True), [plain], **rule)[0]
    assert "JWKS is not set" in advice(AuthSpec([OWN]), [SITE], **rule)[0]
    custom = ProviderSpec(SettingSpec("i"), None, SettingSpec("https://k"), "RS256")
    anybody = Resolved("i", None, "https://k", "RS256")
    assert "every audience" in advice(AuthSpec([custom], True), [anybody], **rule)[0]
