"""The guide's examples and the docstrings' are true."""

from __future__ import annotations

import ast
import asyncio
import doctest
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[4] / "docs" / "testing.md"
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
APP, *EXAMPLES = FENCE.findall(GUIDE.read_text())


def names_in_the_guide() -> Iterator[str]:
    for node in ast.walk(ast.parse("\n".join(EXAMPLES))):
        if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name


@pytest.mark.parametrize("name", sorted(names_in_the_guide()))
def test_example(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert APP.startswith("# convex/users.py\n")
    (tmp_path / "convex").mkdir()
    (tmp_path / "convex" / "users.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "guide"}
    exec(compile("\n".join(EXAMPLES), str(GUIDE), "exec"), names)
    example = names[name]
    assert inspect.iscoroutinefunction(example)
    asyncio.run(example())


@pytest.mark.parametrize("name", ["pyconvex.testing", "pyconvex.testing.clock"])
def test_docstrings(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.attempted
    assert outcome.failed == 0
