"""Paths and references."""

from __future__ import annotations

import copy

import pytest

from pyconvex import api, components, internal
from pyconvex.functions import FunctionReference, parse_path


@pytest.mark.parametrize(
    ("path", "module", "name"),
    [
        ("users:get", "users", "get"),
        ("users.js:get", "users", "get"),
        ("users.py:get", "users", "get"),
        ("a/b/c:get_all", "a/b/c", "get_all"),
        ("a/b", "a/b", "default"),
        ("/a:get", "a", "get"),
        ("a:_x1", "a", "_x1"),
    ],
)
def test_paths(path: str, module: str, name: str) -> None:
    reference = parse_path(path)
    assert reference == FunctionReference(module, name)
    assert str(reference) == f"{module}:{name}"
    assert parse_path(reference.path) == reference


@pytest.mark.parametrize("path", ["", ":get", "users:", "users:1x", "users:get it", ".js:get"])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(ValueError, match="is not a function path such as"):
        parse_path(path)


def test_attributes_lead_to_a_function() -> None:
    assert api.users.get.to_reference() == FunctionReference("users", "get")
    assert internal.a.b.get.to_reference() == FunctionReference("a/b", "get")
    assert repr(api.a.b.get) == "api.a.b.get"


def test_a_components_functions() -> None:
    reference = components.mail.lib.send.to_reference()
    assert reference == FunctionReference("lib", "send", "mail")
    assert str(reference) == "components.mail.lib:send"
    assert components.mail.mount == "mail"
    assert repr(components.mail.lib) == "components.mail.lib"


@pytest.mark.parametrize("partial", [api, api.users, components.mail.lib])
def test_a_module_alone_is_no_function(partial: object) -> None:
    with pytest.raises(ValueError, match="it needs a module and a function name"):
        partial.to_reference()  # type: ignore[attr-defined]


def test_python_may_look_for_special_attributes() -> None:
    assert not hasattr(api, "__wrapped__")
    assert not hasattr(components, "__wrapped__")
    assert copy.copy(api.users.get).to_reference() == FunctionReference("users", "get")
