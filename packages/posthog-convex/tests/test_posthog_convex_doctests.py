"""The examples in the docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from posthog_convex import client, component, events, exceptions, flags, logs, receive, sinks

MODULES = [
    module.name
    for room in (client, component, events, exceptions, flags, logs, receive, sinks)
    for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}.")
] + [f"posthog_convex.{name}" for name in ("destination", "endpoints", "testing")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [t for name in MODULES for t in finder.find(importlib.import_module(name))]
    assert sum(bool(test.examples) for test in found) >= 8
