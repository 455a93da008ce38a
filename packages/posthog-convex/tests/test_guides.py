"""The guides' code does what they say."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from posthog_convex.component.settings import REQUESTS_A_LOOK, requests_a_month
from posthog_convex.testing import ENV, posthog_test
from pyconvex.testing import convex_test

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


def test_refreshing_flags_when_they_change() -> None:
    (config,) = blocks("docs/posthog/flags.md")
    page = (ROOT / "docs/posthog/flags.md").read_text()

    async def ask() -> None:
        env = {**ENV, "POSTHOG_PERSONAL_API_KEY": "phx_1", "POSTHOG_WEBHOOK_SECRET": "secret"}
        async with convex_test({"convex_config.py": config}, env=env) as t, posthog_test(t):
            for header, status in (("Bearer secret", 200), ("Bearer other", 401)):
                answer = await t.fetch(
                    "/posthog/refresh-flags", method="POST", headers={"Authorization": header}
                )
                assert answer.status == status
                assert str(status) in page

    asyncio.run(ask())


def test_what_looking_for_flags_costs() -> None:
    page = (ROOT / "docs/posthog/flags.md").read_text()
    rows = re.findall(r"^\| (\d+) s.*? \| ([\d,]+) \| ([\d,]+) \|$", page, re.MULTILINE)
    assert len(rows) == 3
    for interval, looks, requests in rows:
        billed = requests_a_month(float(interval))
        assert f"{billed:,}" == requests
        assert f"{billed // REQUESTS_A_LOOK:,}" == looks


def test_beside_a_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    from posthog_convex import beside

    (code,) = blocks("docs/posthog/beside-convex.md")
    names: dict[str, Any] = {}
    exec(code, names)
    flag = {"key": "new-cart", "active": True, "filters": {"groups": [
        {"properties": [{"key": "plan", "value": "pro", "type": "person"}]}]}}  # fmt: skip
    value = {"data": json.dumps({"flags": [flag]}), "etag": "e"}
    answer = json.dumps({"status": "success", "value": value}).encode()
    monkeypatch.setattr(beside, "post_within", lambda timeout_s: lambda *asked: answer)
    client = names["make_client"]("phc_x", "phx_x", "https://x.convex.cloud", "key")
    try:
        client.send = False
        client.load_feature_flags()
        assert names["has_new_cart"](client, "ada", "pro")
        assert not names["has_new_cart"](client, "ada", "free")
    finally:
        client.shutdown()
