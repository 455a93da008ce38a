"""The examples in the docstrings of this room are true."""

import doctest
import importlib
import pkgutil

import pytest

import pyconvex.values

MODULES = [
    module.name for module in pkgutil.walk_packages(pyconvex.values.__path__, "pyconvex.values.")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [
        test for name in MODULES for test in finder.find(importlib.import_module(name))
        if test.examples
    ]  # fmt: skip
    assert len(found) >= 12
