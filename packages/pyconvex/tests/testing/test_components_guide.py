"""The component of the guide, built as a package, mounted in the guide's app, and its rules."""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyconvex.testing import FunctionFailed, convex_test

GUIDE = Path(__file__).parents[4] / "docs" / "components.md"
FENCE = re.compile(r"^```(?:py|toml)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"# (\S+\.(?:py|toml))\n")
BLOCKS = FENCE.findall(GUIDE.read_text())
FILES = {match[1]: block for block in BLOCKS if (match := NAME.match(block))}
[TEST] = [block for block in BLOCKS if not NAME.match(block)]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The component as a wheel holds it, importable; and the folder of the guide's app."""
    wheel = tmp_path / "tally_for_pyconvex-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in FILES.items():
            if path.startswith("src/"):
                archive.writestr(path.removeprefix("src/"), text)
        archive.writestr("tally/functions/__init__.py", "")
    site_packages = tmp_path / "site-packages"
    zipfile.ZipFile(wheel).extractall(site_packages)
    app = tmp_path / "app" / "convex"
    app.mkdir(parents=True)
    for path, text in FILES.items():
        if path.startswith("convex/"):
            (app / path.removeprefix("convex/")).write_text(text)
    monkeypatch.syspath_prepend(site_packages)
    importlib.invalidate_caches()
    yield app
    for name in [name for name in sys.modules if name.partition(".")[0] == "tally"]:
        del sys.modules[name]


def test_the_guide_has_all_files() -> None:
    assert {path.partition("/")[0] for path in FILES} == {"src", "convex", "pyproject.toml"}
    assert len(FILES) == 6


def test_the_app_of_the_guide(installed: Path) -> None:
    async def main() -> None:
        async with convex_test(installed, env={"UNIT": "votes"}) as t:
            standing = t.subscribe("votes:standing", name="Ada")
            assert await anext(standing) == "0 votes"
            assert await t.mutation("votes:vote", name="Ada") == 1
            assert await anext(standing) == "1 votes"
            assert await t.mutation("votes:vote", name="Ada") == 2
            assert await t.mutation("votes:vote", name="Ada") == 3
            assert await t.run(winners) == ["Ada"], "the component called back"
            assert await t.component("second").query("counts:get", name="Ada") == "0 times"
            answer = await t.fetch("/tally/counts/Ada")
            assert (answer.status, answer.text) == (200, "3 votes")
            with pytest.raises(FunctionFailed, match="Could not find"):
                await t.query("counts:get", name="Ada")

    async def winners(ctx: Any) -> list[str]:
        return [row.name for row in await ctx.db.query("winners").collect()]

    asyncio.run(main())


def test_the_test_of_the_guide(installed: Path) -> None:
    names: dict[str, Any] = {"__name__": "guide"}
    exec(compile(TEST, str(GUIDE), "exec"), names)
    asyncio.run(names["test_counting"]())
