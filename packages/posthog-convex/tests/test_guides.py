"""The guides' code does what they say."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[str]:
    return FENCE.findall((ROOT / page).read_text())


def run_test(code: str) -> None:
    names: dict[str, Any] = {}
    exec(code, names)
    asyncio.run(names["test_discount"]())


@pytest.fixture
def convex(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty functions folder of that name in the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "convex"
    folder.mkdir()
    return folder


def test_coming_from_either(convex: Path) -> None:
    config, client = blocks("docs/posthog/coming-from-posthog-convex.md")
    shop, test = blocks("docs/posthog/coming-from-posthog-python.md")
    (convex / "convex_config.py").write_text(config)
    (convex / "posthog.py").write_text(client)
    (convex / "shop.py").write_text(shop)
    run_test(test)


def test_the_readme(convex: Path) -> None:
    config, account, test = blocks("packages/posthog-convex/README.md")
    (convex / "convex_config.py").write_text(config)
    (convex / "account.py").write_text(account)
    run_test(test)
