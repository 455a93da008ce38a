"""The examples in the docstrings of log streams are true."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = ["events", "sink", "terminal", "topics", "webhook"]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(f"pyconvex.log_streams.{name}"))
    assert outcome.attempted
    assert outcome.failed == 0
