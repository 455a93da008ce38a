"""Identities between processes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex import identity
from pyconvex.identity import ANONYMOUS, Admin, Identity, User

users = st.builds(
    User,
    token_identifier=st.text(),
    issuer=st.text(),
    subject=st.text(),
    attributes=st.binary(),
)
identities = st.one_of(st.just(ANONYMOUS), users, st.builds(Admin, st.none() | users))


@given(identities)
def test_identities_survive_the_way_to_another_process(caller: Identity) -> None:
    assert identity.decode(identity.encode(caller)) == caller


@given(identities, identities)
def test_bytes_are_equal_exactly_when_identities_are(one: Identity, other: Identity) -> None:
    assert (identity.encode(one) == identity.encode(other)) is (one == other)


def test_identities_do_not_change() -> None:
    with pytest.raises(AttributeError):
        Admin().acting_as = None  # type: ignore[misc]
