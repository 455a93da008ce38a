"""The examples in the docstrings of the edges are true."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = [
    "pyconvex.auth.admin_key",
    "pyconvex.auth.header",
    "pyconvex.identity.caller",
    "pyconvex.runtime.notation",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.attempted
    assert outcome.failed == 0
