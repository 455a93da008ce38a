"""Code written after the documentation passes mypy in strict mode, and its mistakes don't."""

from __future__ import annotations

from pathlib import Path

import pytest
from mypy import api as mypy

FOLDER = Path(__file__).parent / "typed_app"


def test_calls_type_check(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    config = tmp_path / "mypy.ini"
    silent = "follow_imports = silent\n"
    config.write_text(
        f"[mypy]\nstrict = true\n[mypy-pyconvex.*]\n{silent}[mypy-posthog_convex.*]\n{silent}"
    )
    files = [str(path) for path in sorted(FOLDER.glob("*.py"))]
    # Unused ignores are errors, so each marked mistake is one that mypy finds.
    cache = pytestconfig.cache.mkdir("typed-calls")  # type: ignore[union-attr]  # always on here
    report, crash, status = mypy.run([f"--config-file={config}", f"--cache-dir={cache}", *files])
    assert (status, crash) == (0, ""), report
