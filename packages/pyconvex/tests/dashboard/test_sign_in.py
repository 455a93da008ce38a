"""Signing in by link and by key, signing out, and who is kept out."""

from __future__ import annotations

import re
from http.cookies import SimpleCookie

import pytest
from visiting import KEY, ORIGIN, Visitor

from pyconvex.dashboard import sign_in_url
from pyconvex.dashboard.forms import MAX_FORM_BYTES

#: What everybody may see.
OPEN = {"/dashboard/sign_in", "/dashboard/sign_in/{link}", "/dashboard/assets/{name}"}


@pytest.fixture
def visitor() -> Visitor:
    return Visitor()


def test_every_page_but_signing_in_needs_a_session(visitor: Visitor) -> None:
    routes = [(route, method) for route in visitor.dashboard.routes for method in route.methods]
    assert {route.path for route, _ in routes} >= OPEN
    for route, method in routes:
        if route.path in OPEN:
            continue
        path = re.sub(r"\{[^}]*\}", "some", route.path)
        answer = visitor.ask(method, path, headers={"origin": ORIGIN})
        assert answer.status_code == 401, path
        if method == "GET":
            led = visitor.get(path)
            assert (led.status_code, led.headers["location"].split("?")[0]) == (
                303,
                "/dashboard/sign_in",
            )


def test_a_link_signs_in_once(visitor: Visitor) -> None:
    url = sign_in_url(visitor.sessions, ORIGIN)
    path = url.removeprefix(ORIGIN)
    for _ in range(2):  # looking uses nothing up
        page = visitor.get(path)
        assert page.status_code == 200
        assert "set-cookie" not in page.headers
    link = re.search(r'name="link" value="([^"]+)"', page.text)
    assert link is not None
    answer = visitor.post("/dashboard/sign_in", {"link": link[1]})
    assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard")
    assert visitor.get("/dashboard").status_code in (200, 303)
    again = visitor.post("/dashboard/sign_in", {"link": link[1]})
    assert (again.status_code, "set-cookie" in again.headers) == (410, False)
    assert visitor.get(path).status_code == 410


def test_a_late_link_says_where_another_comes_from(visitor: Visitor) -> None:
    path = sign_in_url(visitor.sessions, ORIGIN).removeprefix(ORIGIN)
    visitor.clock.now_s += 600
    page = visitor.get(path)
    assert page.status_code == 410
    assert "pyconvex dashboard" in page.text


def test_the_cookie_is_for_the_dashboard_alone_and_no_script(visitor: Visitor) -> None:
    answer = visitor.post("/dashboard/sign_in", {"key": KEY})
    [(name, cookie)] = SimpleCookie(answer.headers["set-cookie"]).items()
    assert name == "pyconvex"
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == (
        "/dashboard",
        True,
        "strict",
    )
    assert not cookie["secure"]
    assert KEY not in answer.headers["set-cookie"]


def test_the_cookie_is_secure_where_browsers_see_https() -> None:
    visitor = Visitor(origin="https://api.example.com", seen_at="https://api.example.com")
    answer = visitor.post("/dashboard/sign_in", {"key": KEY})
    assert "secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize("key", ["", "hedgehog|wrong", "hedgehogs", "\u20ac|\u20ac", "x" * 5000])
def test_a_wrong_key_is_refused_and_not_shown(visitor: Visitor, key: str) -> None:
    answer = visitor.post("/dashboard/sign_in", {"key": key})
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
    assert 'role="alert"' in answer.text
    assert not key or key not in answer.text


@pytest.mark.parametrize(
    ("asked", "target"),
    [
        ("/dashboard/x?level=error&a=b", "/dashboard/x?level=error&a=b"),
        *[
            (elsewhere, "/dashboard")
            for elsewhere in (
                *("https://elsewhere.example/dashboard/", "//elsewhere.example/dashboard/x"),
                *(
                    "/api/query",
                    "javascript:alert(1)",
                    "/dashboard/\\elsewhere",
                    "/dashboard/\r\nx: y",
                ),
                "\\\\elsewhere.example/dashboard/",
            )
        ],
    ],
)
def test_signing_in_leads_to_pages_of_the_dashboard_alone(
    visitor: Visitor, asked: str, target: str
) -> None:
    answer = visitor.post("/dashboard/sign_in", {"key": KEY, "next": asked})
    assert (answer.status_code, answer.headers["location"]) == (303, target)


def test_who_was_sent_to_sign_in_comes_back(visitor: Visitor) -> None:
    led = visitor.get("/dashboard/x?text=a%26b")
    page = visitor.get(led.headers["location"])
    field = re.search(r'name="next" value="([^"]+)"', page.text)
    assert field is not None
    answer = visitor.post("/dashboard/sign_in", {"key": KEY, "next": field[1]})
    assert answer.headers["location"] == "/dashboard/x?text=a%26b"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://127.0.0.1:3211", "sec-fetch-site": "same-site"},  # the site's port
        {"origin": "http://127.0.0.1:3211"},
        {"origin": "https://elsewhere.example", "sec-fetch-site": "cross-site"},
        {"origin": "null"},
        {"origin": ""},
    ],
)
def test_other_origins_change_nothing(visitor: Visitor, headers: dict[str, str]) -> None:
    visitor.sign_in()
    token = visitor.form_token()
    for path, fields in (
        ("/dashboard/sign_out", {"form_token": token}),
        ("/dashboard/sign_in", {"key": KEY}),
    ):
        assert visitor.post(path, fields, **headers).status_code == 403
    assert visitor.get("/dashboard").status_code != 401
    assert visitor.form_token() == token


@pytest.mark.parametrize("token", ["", "wrong", "\u20ac"])
def test_a_form_without_its_token_changes_nothing(visitor: Visitor, token: str) -> None:
    visitor.sign_in()
    assert visitor.post("/dashboard/sign_out", {"form_token": token}).status_code == 403
    assert visitor.form_token()


def test_a_token_of_another_session_does_not_count(visitor: Visitor) -> None:
    visitor.sign_in()
    token = visitor.form_token()
    visitor.sign_in()
    assert visitor.post("/dashboard/sign_out", {"form_token": token}).status_code == 403


def test_signing_out_ends_the_session(visitor: Visitor) -> None:
    visitor.sign_in()
    kept = dict(visitor.cookies)
    answer = visitor.send("/dashboard/sign_out")
    assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/sign_in")
    visitor.cookies.update(kept)
    assert visitor.ask("GET", "/dashboard").status_code == 401


def test_pages_forbid_foreign_code_frames_and_readers(visitor: Visitor) -> None:
    visitor.sign_in()
    for path in ("/dashboard/sign_in/x", "/dashboard/nothing", "/dashboard/assets/style.css"):
        answer = visitor.get(path, origin="https://elsewhere.example")
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_form_has_a_bound(visitor: Visitor) -> None:
    for fields in ({"key": "x" * MAX_FORM_BYTES}, {str(n): "" for n in range(300)}):
        assert visitor.post("/dashboard/sign_in", fields).status_code == 400


def test_what_is_not_there_is_said(visitor: Visitor) -> None:
    visitor.sign_in()
    page = visitor.get("/dashboard/nothing")
    assert (page.status_code, "no such page" in page.text) == (404, True)
    assert visitor.get("/dashboard/assets/..%2fapp.py").status_code == 404
