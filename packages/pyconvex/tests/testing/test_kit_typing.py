"""Tests written with the kit pass mypy in strict mode, and their mistakes don't."""

from __future__ import annotations

from pathlib import Path

import pytest
from mypy import api as mypy

FOLDER = Path(__file__).parent / "typed_kit"


def test_tests_type_check(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\nstrict = true\n[mypy-pyconvex.*]\nfollow_imports = silent\n")
    files = [str(path) for path in sorted(FOLDER.glob("*.py"))]
    # Unused ignores are errors, so each marked mistake is one that mypy finds.
    cache = pytestconfig.cache.mkdir("typed-app")  # type: ignore[union-attr]  # always on here
    report, crash, status = mypy.run([f"--config-file={config}", f"--cache-dir={cache}", *files])
    assert (status, crash) == (0, ""), report
