"""The Python forms of Convex's types."""

import copy
import pickle
import typing

import pytest

from pyconvex.values import UNSET, Id, Int64


def test_int64_is_an_int_with_bounds():
    assert Int64(7) + 1 == 8
    assert (str(Int64(7)), repr(Int64(7)), f"{Int64(-7):+d}") == ("7", "Int64(7)", "-7")
    assert pickle.loads(pickle.dumps(Int64(7))) == Int64(7)
    assert isinstance(copy.deepcopy(Int64(7)), Int64)
    for number in (2**63, -(2**63) - 1):
        with pytest.raises(ValueError, match=f"{number} does not fit into a 64-bit signed integer"):
            Int64(number)


def test_unset_is_one_falsy_value():
    assert not UNSET
    assert repr(UNSET) == "UNSET"
    assert copy.deepcopy(UNSET) is UNSET
    assert pickle.loads(pickle.dumps(UNSET)) is UNSET


class User:
    pass


def test_an_id_names_its_table_in_hints_and_is_a_str():
    def handler(a: Id["users"], b: Id[User], c: "Id['posts']"): ...  # noqa: F821

    hints = typing.get_type_hints(handler)
    assert typing.get_args(hints["a"]) == (typing.Literal["users"],)
    assert typing.get_args(hints["b"]) == (User,)
    assert typing.get_args(hints["c"]) == (typing.Literal["posts"],)
    assert typing.get_origin(hints["a"]) is Id
    assert {Id("x"): 1}["x"] == 1
    assert Id[User]("x") == "x"
