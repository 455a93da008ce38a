"""The examples in the docstrings of log streams, and of what delivers them, are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import pyconvex.delivery
import pyconvex.log_streams

MODULES = [
    module.name
    for package in (pyconvex.delivery, pyconvex.log_streams)
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    counts = [doctest.testmod(importlib.import_module(name)).attempted for name in MODULES]
    assert sum(map(bool, counts)) >= 8
