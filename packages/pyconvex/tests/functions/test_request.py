"""What a handler reads of a request."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from pyconvex import Request
from pyconvex.functions import FunctionCallError, Headers


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def test_url_path_and_query() -> None:
    request = Request("GET", "http://x:1/a%2Fb/?q=1&q=2&empty=&flag&sp=a+b")
    assert request.path == "/a%2Fb/"
    assert dict(request.query) == {"q": "1", "empty": "", "flag": "", "sp": "a b"}
    assert request.query.get_all("q") == ["1", "2"]
    assert len(request.query) == 4
    assert request.query.pairs()[:2] == [("q", "1"), ("q", "2")]
    assert Request("GET", "http://x").path == "/"
    assert repr(request).startswith("<GET http://x:1/")


def test_a_body_is_read_whole_more_than_once() -> None:
    request = Request("POST", "http://x/", body="\ufeffö".encode() + b"\xff")
    assert run(request.body()) == "\ufeffö".encode() + b"\xff"
    assert run(request.text()) == "ö\ufffd"


def test_a_body_that_comes_in_pieces() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"a":'
        yield b" 1}"

    assert run(Request("POST", "http://x/", body=pieces()).json()) == {"a": 1}


def test_a_stream_is_read_once() -> None:
    async def main() -> None:
        request = Request("POST", "http://x/", body=b"abc")
        assert [piece async for piece in request.stream()] == [b"abc"]
        with pytest.raises(FunctionCallError, match="has been read already"):
            await request.body()
        assert [piece async for piece in Request("POST", "http://x/").stream()] == []

    run(main())


def test_what_is_no_json_and_no_form() -> None:
    with pytest.raises(ValueError, match="The body of POST /a is no JSON"):
        run(Request("POST", "http://x/a", body=b"{").json())
    with pytest.raises(ValueError, match="no urlencoded form but text/plain"):
        run(Request("POST", "http://x/a", headers={"Content-Type": "text/plain"}).form())


def test_a_form() -> None:
    sent = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    request = Request("POST", "http://x/", headers=sent, body=b"From=%2B49&Body=hi+there&Body=2")
    form = run(request.form())
    assert (form["From"], form["Body"], form.get_all("Body")) == (
        "+49",
        "hi there",
        ["hi there", "2"],
    )
    with pytest.raises(KeyError):
        form["To"]


def test_headers() -> None:
    headers = Headers([("X-A", "1"), ("x-a", "2"), ("Y", "3")])
    assert (headers["x-A"], headers.get_all("X-a"), len(headers)) == ("1, 2", ["1", "2"], 2)
    assert headers.pairs() == [("x-a", "1"), ("x-a", "2"), ("y", "3")]
    assert list(Headers(headers)) == ["x-a", "y"]
    assert 5 not in headers
    for name, value, text in [
        ("a b", "1", "'a b' is no valid name"),
        ("", "1", "no valid name"),
        ("a", "1\r\nSet-Cookie: x", r"'\r', which a header can't carry"),
        ("a", "ž", "encode the value"),
    ]:
        with pytest.raises(ValueError, match=re.escape(text)):
            Headers({name: value})
    with pytest.raises(TypeError, match="must be a string, not 5"):
        Headers([("a", 5)])  # type: ignore[list-item]  # the mistake
    assert Headers.received([("a", "\x7f")])["a"] == "\x7f"
