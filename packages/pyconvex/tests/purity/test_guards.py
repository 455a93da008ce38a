"""Guards where no run is active, where the interpreter acts for itself, and as a whole."""

from __future__ import annotations

import importlib
import os
import random
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pyconvex.runtime import purity
from pyconvex.runtime.purity import ImpureCallError
from pyconvex.runtime.purity.patches import Patches

Pure = Callable[..., Any]


def test_outside_of_runs_everything_works(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    assert file.read_text() == "x"
    assert file.exists()
    os.environ["PURITY"] = "x"
    del os.environ["PURITY"]
    socket.socket().close()
    done = threading.Event()
    threading.Thread(target=done.set).start()
    assert done.wait(5)
    time.sleep(0)
    assert random.random() != random.random()


def test_nothing_stays_refused_after_a_refusal(pure: Pure, tmp_path: Path) -> None:
    with pytest.raises(ImpureCallError):
        pure(lambda: (tmp_path / "file").write_text("x"))
    (tmp_path / "file").write_text("x")


def test_installing_twice_is_installing_once() -> None:
    urandom = os.urandom
    purity.install()
    assert os.urandom is urandom


def test_removing_leaves_no_trace() -> None:
    purity.remove()
    before = {name: vars(sys.modules[name]).copy() for name in ("os", "time", "random", "uuid")}
    purity.install()
    assert os.urandom is not before["os"]["urandom"]
    purity.remove()
    assert {name: vars(sys.modules[name]) for name in before} == before
    assert type(os.environ).__name__ == "_Environ"
    assert type(random._inst) is random.Random  # type: ignore[attr-defined]
    assert os.stat in os.supports_fd


def test_a_replaced_function_keeps_its_abilities() -> None:
    assert os.stat in os.supports_fd
    assert os.stat in os.supports_follow_symlinks


def test_a_function_can_import(pure: Pure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what the imported module does meanwhile is its own affair."""
    (tmp_path / "imported_in_a_run.py").write_text("import os; listed = os.listdir('/')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "imported_in_a_run", raising=False)
    assert pure(lambda: importlib.import_module("imported_in_a_run").listed).value


def test_a_traceback_shows_source_lines(pure: Pure) -> None:
    def fails() -> str:
        try:
            raise ValueError("here")
        except ValueError:
            return traceback.format_exc()

    assert 'raise ValueError("here")' in pure(fails).value


def test_time_zones_and_installed_data_can_be_read(pure: Pure) -> None:
    assert pure(lambda: str(ZoneInfo.no_cache("Europe/Paris"))).value == "Europe/Paris"
    entry = resources.files("hypothesis") / "py.typed"
    assert pure(entry.read_bytes).value == entry.read_bytes()


def test_installed_data_can_not_be_written(pure: Pure) -> None:
    entry = Path(str(resources.files("hypothesis") / "py.typed"))
    with pytest.raises(ImpureCallError, match="write files"):
        pure(lambda: entry.open("a"))


def test_a_finaliser_can_not_escape_into_another_context(pure: Pure) -> None:
    from contextvars import Context

    with pytest.raises(ImpureCallError):
        pure(lambda: Context().run(time.sleep, 0))


def test_functions_are_replaced_under_every_name() -> None:
    def original() -> int:
        return 1

    module = ModuleType("purity_example")
    vars(module).update(first=original, second=original, other=repr)
    sys.modules[module.__name__] = module
    patches = Patches()
    try:
        patches.wrap(module, "first", lambda original: lambda: original() + 1)
        patches.spread()
        assert [module.first(), module.second()] == [2, 2]
        assert vars(module)["other"] is repr
    finally:
        patches.undo()
        del sys.modules[module.__name__]
    assert module.first is module.second is original
