"""A deployment whose functions tell something, and a tab that is signed in to its dashboard.

SCREENSHOTS=docs/images ./run test tests/dashboard -n 0 -k "form or accessible" makes the pictures
of the docs anew.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from playwright.sync_api import Browser, Page
from serving import Served

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
AXE = ROOT / "packages" / "posthog-local" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@dataclass(frozen=True)
class Shop:
    """The deployment, as its users and its operator reach it."""

    served: Served

    @property
    def url(self) -> str:
        return self.served.url

    def call(self, path: str, user: str = "", **args: Any) -> Any:
        """Call a function, in the name of a user."""
        headers = {}
        if user:
            who = {"issuer": "https://issuer.example", "subject": user}
            suffix = base64.b64encode(json.dumps(who).encode()).decode()
            headers["authorization"] = f"Convex {self.served.admin_key}:{suffix}"
        answer = httpx2.post(
            f"{self.url}/api/run/{path.replace(':', '/')}",
            json={"args": args},
            headers=headers,
            timeout=PATIENCE_S,
        )
        return answer.json()

    def admin(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        headers = {"authorization": f"Convex {self.served.admin_key}"}
        return httpx2.request(
            method, self.url + path, json=body, headers=headers, timeout=PATIENCE_S
        )

    def link(self) -> str:
        url: str = self.admin("POST", "/api/pyconvex/sign_in_link", {}).json()["url"]
        return url


class Tab:
    """A page of a browser that notes everything that goes wrong in it."""

    def __init__(self, browser: Browser, shop: Shop, **options: Any) -> None:
        self.context = browser.new_context(base_url=shop.url, **options)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_S * 1000)
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console",
            lambda said: self.errors.append(said.text) if said.type == "error" else None,
        )
        self.page.goto(shop.link())
        self.page.wait_for_url("**/dashboard/logs")

    def serious(self) -> list[Any]:
        """What axe finds serious."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run()")["violations"]
        return [
            (one["id"], [node["html"] for node in one["nodes"]][:3])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]

    def overflows(self) -> bool:
        """Whether the page is wider than its window."""
        wide: bool = self.page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
        return wide

    def keep_picture(self, name: str) -> None:
        """With SCREENSHOTS set to a folder, the picture that the docs show."""
        if "SCREENSHOTS" in os.environ:
            folder = Path(os.environ["SCREENSHOTS"])
            folder.mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=folder / f"dashboard-{name}.png", full_page=True)
