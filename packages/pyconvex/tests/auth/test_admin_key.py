"""Admin keys: form, generation, comparison, and the identity behind them."""

from __future__ import annotations

import base64

import pytest

from pyconvex.auth import AdminKey
from pyconvex.auth.admin_key import PresentedKey, split_presented
from pyconvex.identity import AuthenticationError

KEY = AdminKey("hedgehog|5ecret")


@pytest.mark.parametrize("text", ["", "name", "name|", "|sesame", "a|b:c"])
def test_what_is_no_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="An admin key is") as caught:
        AdminKey(text)
    assert not text or text not in str(caught.value)


def test_a_generated_key_uses_all_its_randomness() -> None:
    key = AdminKey.generate("hedgehog", bytes(range(32)))
    assert key.text == "hedgehog|" + bytes(range(32)).hex()
    with pytest.raises(ValueError, match="32 random bytes"):
        AdminKey.generate("hedgehog", b"short")


@pytest.mark.parametrize(
    ("presented", "matches"),
    [
        ("hedgehog|5ecret", True),
        ("prod:hedgehog|5ecret", True),
        ("hedgehog|5ecre", False),
        ("hedgehog|5ecret2", False),
        ("other|5ecret", False),
        ("hedgehog|ключ", False),
        ("", False),
    ],
)
def test_only_the_same_key_matches(presented: str, matches: bool) -> None:
    assert KEY.matches(presented) is matches


def test_a_key_does_not_show_its_secret() -> None:
    assert "5ecret" not in repr(KEY)


def test_what_follows_the_first_colon_is_an_identity() -> None:
    encoded = base64.b64encode(b'{"issuer":"i","subject":"s"}').decode()
    assert split_presented(f"x|goodkey:{encoded}") == PresentedKey(
        "x|goodkey", b'{"issuer":"i","subject":"s"}'
    )
    assert split_presented(f"dev:x|k:{encoded}").key == "x|k"


@pytest.mark.parametrize("text", ["no-bar", "x|k:not base64!"])
def test_a_malformed_presented_key_is_a_400(text: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        split_presented(text)
    assert (caught.value.status, caught.value.code) == (400, "InvalidAdminKey")
    assert text not in caught.value.message
