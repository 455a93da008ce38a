"""The official React client of `@convex-dev/auth`, unchanged, in a real Chromium."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import httpx2
import jwt
import pytest
from browsing import PATIENCE_MS
from playwright.sync_api import BrowserContext, Page, expect
from serving import Served

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)

PASSWORD = "correct horse"


def fill(page: Page, flow: str, email: str, password: str = PASSWORD) -> None:
    """Send the form, once it is the one for this flow."""
    if page.locator("#submit").text_content() != flow:
        page.click("#other")
        expect(page.locator("#submit")).to_have_text(flow)
    page.fill("#email", email)
    page.fill("#password", password)
    page.click("#submit")


def sign_up(page: Page, email: str) -> None:
    fill(page, "signUp", email)
    shows_person(page, email)


def shows_person(page: Page, email: str) -> None:
    expect(page.locator("#state")).to_have_text("in")
    expect(page.locator("#me")).to_have_text(email)


def stored(page: Page, name: str) -> str | None:
    """What the client keeps under this name in the browser's storage."""
    found: str | None = page.evaluate(
        "name => Object.entries(localStorage).find(([key]) => key.startsWith(name))?.[1] ?? null",
        f"__convexAuth{name}_",
    )
    return found


def refresh(served: Served, token: str | None) -> Any:
    body = {"path": "auth:signIn", "args": {"refreshToken": token}}
    return httpx2.post(f"{served.url}/api/action", json=body, timeout=30).json()["value"]["tokens"]


def test_signing_up_writing_and_coming_back(page: Page, email: str) -> None:
    sign_up(page, email)
    expect(page.locator("#notes")).to_have_text("")
    page.click("#add")
    expect(page.locator("#notes")).to_have_text("note")
    before = stored(page, "RefreshToken")
    page.reload()
    shows_person(page, email)
    expect(page.locator("#notes")).to_have_text("note")
    # The client asks for a fresh token each time it comes, and gets the next refresh token.
    page.wait_for_function("before => !Object.values(localStorage).includes(before)", arg=before)
    shows_person(page, email)


def test_an_expired_token_is_refreshed_and_nobody_notices(
    page: Page, served: Served, email: str
) -> None:
    sign_up(page, email)
    page.click("#add")
    expect(page.locator("#notes")).to_have_text("note")
    page.evaluate("convex.close()")  # so that it doesn't store anything more
    expired = aged(served, stored(page, "JWT"))
    page.evaluate(
        """expired => {
            const key = Object.keys(localStorage).find((key) => key.startsWith("__convexAuthJWT_"));
            localStorage.setItem(key, expired);
        }""",
        expired,
    )
    page.reload()
    shows_person(page, email)
    expect(page.locator("#notes")).to_have_text("note")
    assert stored(page, "JWT") != expired


def aged(served: Served, token: str | None) -> str:
    """The same token as it would be two hours later, signed by the deployment's own key."""
    assert token is not None
    answer = httpx2.get(
        f"{served.url}/api/list_environment_variables",
        headers={"authorization": f"Convex {served.admin_key}"},
    )
    key = answer.json()["environmentVariables"]["JWT_PRIVATE_KEY"]
    claims = jwt.decode(token, options={"verify_signature": False})
    now = int(time.time())
    return jwt.encode({**claims, "iat": now - 7200, "exp": now - 3600}, key, "RS256")


def test_signing_out_ends_the_session_in_every_tab(
    page: Page, profile: BrowserContext, address: str, served: Served, email: str
) -> None:
    sign_up(page, email)
    other = profile.new_page()
    other.goto(address)
    shows_person(other, email)
    token = stored(page, "RefreshToken")
    page.click("#out")
    expect(page.locator("#state")).to_have_text("out")
    expect(other.locator("#state")).to_have_text("out")
    assert stored(page, "RefreshToken") is None
    assert refresh(served, token) is None, "and what somebody may have copied is worth nothing"
    page.reload()
    expect(page.locator("#state")).to_have_text("out")


def test_signing_in_with_the_wrong_and_the_right_password(page: Page, email: str) -> None:
    sign_up(page, email)
    page.click("#out")
    expect(page.locator("#state")).to_have_text("out")
    fill(page, "signIn", email, "wrong horse")
    expect(page.locator("#said")).to_have_text("InvalidCredentials")
    expect(page.locator("#state")).to_have_text("out")
    fill(page, "signIn", "nobody@example.com")
    expect(page.locator("#said")).to_have_text("InvalidCredentials")
    fill(page, "signIn", email.upper())
    shows_person(page, email)


def test_a_password_that_is_too_short(page: Page, email: str) -> None:
    fill(page, "signUp", email, "short")
    expect(page.locator("#said")).to_have_text("InvalidPassword")


def test_a_session_that_was_ended_elsewhere(page: Page, served: Served, email: str) -> None:
    """Somebody who got hold of the refresh token signs out: the page finds itself signed out."""
    sign_up(page, email)
    page.evaluate("convex.close()")
    token = stored(page, "RefreshToken")
    stolen = refresh(served, token)
    assert stolen is not None
    assert re.fullmatch(r"[^|]+\|[^|]+\|[^|]+", stolen["refreshToken"])
    session = jwt.decode(stolen["token"], options={"verify_signature": False})["sub"]
    headers = {"authorization": f"Bearer {stolen['token']}"}
    body = {"path": "auth:signOut", "args": {}}
    answer = httpx2.post(f"{served.url}/api/action", json=body, headers=headers, timeout=30)
    assert json.loads(answer.text)["status"] == "success", session
    page.reload()
    expect(page.locator("#state")).to_have_text("out")


def test_a_forgotten_password(page: Page, served: Served, email: str) -> None:
    sign_up(page, email)
    page.click("#out")
    page.click("#forgot")
    fill(page, "reset", email)
    page.wait_for_selector("#code")
    fill_reset(page, "00000000", "battery staple")
    expect(page.locator("#said")).to_have_text("InvalidCode")
    fill_reset(page, mailed(served, email), "battery staple")
    shows_person(page, email)
    page.click("#out")
    fill(page, "signIn", email)
    expect(page.locator("#said")).to_have_text("InvalidCredentials")
    fill(page, "signIn", email, "battery staple")
    shows_person(page, email)


def fill_reset(page: Page, code: str, password: str) -> None:
    page.fill("#code", code)
    page.fill("#newPassword", password)
    page.click("#submit")


def mailed(served: Served, email: str) -> str:
    """The code that the app would have sent, once it has."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while time.monotonic() < deadline:
        body = {"path": "auth:mailed", "args": {"email": email}}
        headers = {"authorization": f"Convex {served.admin_key}"}
        answer = httpx2.post(f"{served.url}/api/query", json=body, headers=headers, timeout=30)
        if codes := answer.json()["value"]:
            return str(codes[-1])
    raise AssertionError("no mail was sent")
