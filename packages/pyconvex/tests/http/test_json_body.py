"""Bodies that are to be JSON of a type."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from pyconvex.http.exchange import Request, RequestError


class Tea(msgspec.Struct):
    leaves: str


def read(body: bytes) -> Tea:
    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    request = Request("POST", "", "/tea", [], receive)
    return asyncio.run(request.json_body(Tea, 1 << 20, "an order of tea"))


def test_it_is_read_as_its_type() -> None:
    assert read(b'{"leaves": "green", "more": 1}') == Tea("green")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"leaves": 1}', b'{"leaves": "\xff"}', b'{"more": ' + b"[" * 100_000],
    ids=["nothing", "half", "another type", "no UTF-8", "too deep"],
)
def test_what_is_something_else_is_refused_by_name(body: bytes) -> None:
    with pytest.raises(RequestError, match="Could not read the body as an order of tea") as refused:
        read(body)
    assert (refused.value.status, refused.value.code) == (400, "BadJsonBody")
