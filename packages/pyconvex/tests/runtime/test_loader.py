"""Reading a functions folder, and importing it from memory."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pyconvex.runtime.app.loader import SourceError, load_app, read_sources, unload_app

PACKAGE = "_loader_test_app"


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    path, meta_path, modules = list(sys.path), list(sys.meta_path), set(sys.modules)
    yield
    unload_app(PACKAGE)
    assert (sys.path, sys.meta_path) == (path, meta_path)
    assert not {name for name in set(sys.modules) - modules if name.startswith(PACKAGE)}


def load(sources: dict[str, str]) -> dict[str, ModuleType]:
    return load_app(sources, "/shop/convex", PACKAGE)


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


# Reading


def test_python_files_are_read_by_relative_path(tmp_path: Path) -> None:
    write(tmp_path, users="u", a__b__c="c", _generated__api="no", _hidden="kept")
    write(tmp_path, **{".venv__x": "no", "__pycache__x": "no"})
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.py").write_text("no")
    (tmp_path / "notes.txt").write_text("no")
    found = read_sources(tmp_path)
    assert {"users.py": "u", "a/b/c.py": "c", "_hidden.py": "kept"}.items() <= found.items()
    assert "no" not in found.values()


def test_what_can_not_be_used_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"There is no functions folder at .*missing"):
        read_sources(tmp_path / "missing")
    with pytest.raises(SourceError, match="has no Python files yet"):
        read_sources(tmp_path)
    for name, text in (
        ("a____init__", "Remove .*a/__init__.py"),
        ("users.test", r"Rename .*users.test.py: a module's name can't hold a dot"),
        ("users__list", "Rename .*users.py or the folder .*users: "),
    ):
        write(tmp_path, users="")
        path = tmp_path / (name.replace("____", "/__").replace("s__", "s/") + ".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
        with pytest.raises(SourceError, match=text):
            read_sources(tmp_path)
        path.unlink()
    (tmp_path / "latin.py").write_bytes(b"# \xe4")
    with pytest.raises(SourceError, match=r"latin.py is not UTF-8: .* Save it as UTF-8"):
        read_sources(tmp_path)


# Importing


def test_modules_import_each_other_relatively() -> None:
    modules = load(
        {
            "a.py": "from .deep.er import c\nfrom . import d\nvalue = c.value + d.value",
            "deep/er/c.py": "from ... import d\nfrom ..b import value as b\nvalue = b + d.value",
            "deep/b.py": "value = 1",
            "d.py": "value = 10",
        }
    )
    assert list(modules) == ["a", "d", "deep/b", "deep/er/c"]
    assert modules["a"].value == 21
    assert modules["deep/er/c"].__file__ == "/shop/convex/deep/er/c.py"


def test_nothing_is_shadowed() -> None:
    shadow = {name: importlib.util.find_spec(name) for name in ("posthog", "convex", "json")}
    modules = load(
        {
            "posthog.py": "import posthog as real\nmine = True",
            "convex.py": "import convex as real\nmine = True",
            "json.py": "import json as real\nmine = True\nx = real.dumps(1)",
        }
    )
    for name, spec in shadow.items():
        assert modules[name].mine
        assert spec is not None
        assert modules[name].real.__file__ == spec.origin
        assert sys.modules[name] is modules[name].real


def test_absolute_imports_do_not_find_the_app() -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named 'users'"):
        load({"a.py": "import users", "users.py": ""})


def test_errors_name_the_authors_file_and_line() -> None:
    with pytest.raises(SyntaxError) as syntax:
        load({"a.py": "x = 1\ndef broken(:\n"})
    assert (syntax.value.filename, syntax.value.lineno) == ("/shop/convex/a.py", 2)
    unload_app(PACKAGE)
    with pytest.raises(ZeroDivisionError) as raised:
        load({"a.py": "x = 1\n\ny = x / 0  # here\n"})
    last = traceback.extract_tb(raised.value.__traceback__)[-1]
    assert (last.filename, last.lineno, last.line) == ("/shop/convex/a.py", 3, "y = x / 0  # here")


def test_what_was_deployed_is_what_runs(tmp_path: Path) -> None:
    write(tmp_path, a="value = 'on disk'")
    modules = load_app({"a.py": "value = 'deployed'"}, str(tmp_path), PACKAGE)
    assert modules["a"].value == "deployed"
