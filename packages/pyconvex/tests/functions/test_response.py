"""What a handler may answer."""

from __future__ import annotations

from typing import Any

import pytest

from pyconvex import Document, Response


class Note(Document, table="notes"):
    text: str


def test_bodies() -> None:
    assert (Response().body, Response(b"x").body, Response("ö").body) == (b"", b"x", "ö".encode())
    assert dict(Response(b"x").headers) == {}
    assert (
        Response("x", headers={"Content-Type": "text/html"}).headers["content-type"] == "text/html"
    )
    assert repr(Response("x")) == "<Response 200, 1 bytes>"


def test_json() -> None:
    answer = Response.json([Note(text="ö"), 1.5, None], status=201, headers={"x": "y"})
    assert answer.body == '[{"text":"ö"},1.5,null]'.encode()
    assert dict(answer.headers) == {"x": "y", "content-type": "application/json"}
    problem = Response.json({}, headers={"content-type": "application/problem+json"})
    assert problem.headers["content-type"] == "application/problem+json"
    with pytest.raises(ValueError, match="not JSON compliant"):
        Response.json(float("nan"))


@pytest.mark.parametrize("status", [199, 600, 101, "200", 200.0])
def test_a_status_that_can_not_be_sent(status: Any) -> None:
    with pytest.raises(ValueError, match="from 200 to 599"):
        Response(status=status)


@pytest.mark.parametrize("status", [204, 205, 304])
def test_statuses_without_a_body(status: int) -> None:
    assert Response("", status=status).body == b""
    with pytest.raises(ValueError, match=f"status {status} has no body"):
        Response("x", status=status)


def test_a_body_that_is_none() -> None:
    for wrong in ({"a": 1}, 5, ["a"], (b"x" for _ in "a")):
        with pytest.raises(TypeError, match=r"For JSON: Response.json"):
            Response(wrong)  # type: ignore[arg-type]  # the mistake


def test_what_belongs_to_the_connection_is_the_servers() -> None:
    fields = {"Connection": "close", "Content-Length": "5", "Transfer-Encoding": "gzip", "X": "1"}
    assert dict(Response("x", headers=fields).headers) == {
        "x": "1",
        "content-type": "text/plain;charset=UTF-8",
    }
    with pytest.raises(ValueError, match="can't carry"):
        Response(headers={"location": "/a\nb"})
