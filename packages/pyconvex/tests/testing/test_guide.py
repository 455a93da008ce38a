"""The examples of the guides and of the docstrings are true."""

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

DOCS = Path(__file__).parents[4] / "docs"
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (convex/\w+\.py)\n")


def blocks(guide: str) -> tuple[dict[str, str], str]:
    """A guide's app, by file, and its examples as one module."""
    files, examples = {}, []
    for block in FENCE.findall((DOCS / guide).read_text()):
        file = FILE.match(block)
        if file:
            files[file[1]] = block
        else:
            examples.append(block)
    return files, "\n".join(examples)


def examples() -> Iterator[tuple[str, str]]:
    for guide in ("testing.md", "scheduling.md"):
        for node in ast.walk(ast.parse(blocks(guide)[1])):
            if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield guide, node.name


@pytest.mark.parametrize(("guide", "name"), sorted(examples()))
def test_example(guide: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, code = blocks(guide)
    (tmp_path / "convex").mkdir()
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "guide"}
    exec(compile(code, str(DOCS / guide), "exec"), names)
    example = names[name]
    assert inspect.iscoroutinefunction(example)
    asyncio.run(example())


@pytest.mark.parametrize("name", ["pyconvex.testing", "pyconvex.testing.clock"])
def test_docstrings(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.attempted
    assert outcome.failed == 0
