"""Document instances as values."""

from __future__ import annotations

from typing import Any

import pytest

from pyconvex import Document
from pyconvex.functions import DefinitionError
from pyconvex.functions.documents import plain
from pyconvex.functions.schema import table_of
from pyconvex.values import UNSET, Id


class User(Document, table="users", indexes={"by_name": ["name"]}):
    name: str
    plan: str = "free"


class Team(Document, table="teams"):
    lead: Any
    members: list[Any]


def test_fields_are_attributes_and_defaults_show_through() -> None:
    user = User(name="Ada")
    assert (user.name, user.plan) == ("Ada", "free")
    user.plan = "pro"
    assert user.to_fields() == {"name": "Ada", "plan": "pro"}


def test_an_instance_of_a_stored_document_has_the_system_fields() -> None:
    user = User.from_fields({"_id": "u1", "_creationTime": 2.0, "name": "Ada"})
    assert (user._id, user._creationTime, user.plan) == ("u1", 2.0, "free")


def test_equality_is_by_class_and_fields() -> None:
    class Other(Document, table="others"):
        name: str

    assert User(name="Ada") == User(name="Ada")
    assert User(name="Ada") != User(name="Bea")
    assert User(name="Ada") != Other(name="Ada")
    assert User(name="Ada") != {"name": "Ada"}
    with pytest.raises(TypeError, match="unhashable"):
        hash(User(name="Ada"))


def test_it_says_its_fields() -> None:
    assert repr(User(name="Ada", plan="pro")) == "User(name='Ada', plan='pro')"


def test_an_id_is_said_not_checked() -> None:
    assert User.id("anything") == "anything"
    assert isinstance(User.id("anything"), Id)


def test_a_class_must_name_its_table() -> None:
    with pytest.raises(TypeError, match=r"Nameless names no table: write class Nameless\(Document"):

        class Nameless(Document):
            name: str


@pytest.mark.parametrize("name", ["id", "table", "indexes", "to_fields", "from_fields"])
def test_a_field_can_not_hide_what_every_document_has(name: str) -> None:
    clashing = type("Clashing", (Document,), {"__annotations__": {name: str}}, table="clashing")
    with pytest.raises(DefinitionError, match=f"can't be named '{name}'"):
        table_of(clashing)


def test_plain_turns_documents_anywhere_into_dictionaries() -> None:
    ada = User(name="Ada")
    team = Team(lead=ada, members=[ada, {"nested": (ada,)}])
    as_dict = {"name": "Ada"}
    assert plain(team) == {"lead": as_dict, "members": [as_dict, {"nested": [as_dict]}]}
    assert plain({"x": UNSET}) == {"x": UNSET}
