"""What an HTTP action is asked.

Owns reading URL, headers and body. Never answers. One invariant: the body arrives piece by piece as
it is read, so that what nobody reads is never held in memory.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pyconvex.functions.errors import FunctionCallError
from pyconvex.functions.headers import HeaderFields, Headers


class Fields(Mapping[str, str]):
    """Decoded `name=value` pairs, of a URL's query or of a form.

    >>> fields = Fields([("tag", "a"), ("tag", "b"), ("q", "x y")])
    >>> fields["q"], fields["tag"], fields.get_all("tag")
    ('x y', 'a', ['a', 'b'])
    """

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def __getitem__(self, name: str) -> str:
        """The value; of a repeated name the first, as `URLSearchParams.get` gives it."""
        for known, value in self._pairs:
            if known == name:
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for name, _ in self._pairs))

    def __len__(self) -> int:
        return len({name for name, _ in self._pairs})

    def get_all(self, name: str) -> list[str]:
        """All values of a name that may be there several times."""
        return [value for known, value in self._pairs if known == name]

    def pairs(self) -> list[tuple[str, str]]:
        """Every pair, in the order of arrival."""
        return list(self._pairs)

    def __repr__(self) -> str:
        return f"Fields({self._pairs!r})"


class Request:
    """An HTTP request, as a handler gets it; tests make their own.

    >>> request = Request("POST", "https://example.com/search?q=a%20b", body=b'{"n": 1}')
    >>> request.path, request.query["q"]
    ('/search', 'a b')
    >>> import asyncio
    >>> asyncio.run(request.json())
    {'n': 1}
    """

    def __init__(
        self,
        method: str,
        url: str,
        *,
        headers: HeaderFields = (),
        body: bytes | AsyncIterator[bytes] = b"",
    ) -> None:
        #: In capitals: `GET`.
        self.method = method
        #: The whole URL: scheme, host, path and query.
        self.url = url
        self.headers = headers if isinstance(headers, Headers) else Headers(headers)
        self._pieces = _one_piece(body) if isinstance(body, bytes) else body
        self._streamed = False
        self._body: bytes | None = None

    @property
    def path(self) -> str:
        """The URL's path, with what it has percent-encoded."""
        return urlsplit(self.url).path or "/"

    @cached_property
    def query(self) -> Fields:
        """The URL's query parameters, decoded."""
        return Fields(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))

    async def stream(self) -> AsyncIterator[bytes]:
        """The body piece by piece, as it arrives; once.

        While you don't ask for the next piece, the client can't send it. Raises
        `ClientDisconnected` when the client leaves in the middle.
        """
        if self._streamed:
            raise FunctionCallError("The body of this request has been read already.")
        self._streamed = True
        async for piece in self._pieces:
            yield piece

    async def body(self) -> bytes:
        """The whole body; may be asked for again. Raises `ClientDisconnected`."""
        if self._body is None:
            self._body = b"".join([piece async for piece in self.stream()])
        return self._body

    async def text(self) -> str:
        """The whole body as text; what is no UTF-8 becomes U+FFFD."""
        return (await self.body()).decode("utf-8-sig", errors="replace")

    async def json(self) -> Any:
        """The whole body as JSON. Raises `ValueError` when it is none."""
        try:
            return json.loads(await self.text())
        except ValueError as error:
            raise ValueError(f"The body of {self.method} {self.path} is no JSON: {error}") from None

    async def form(self) -> Fields:
        """The fields of a form that was sent as `application/x-www-form-urlencoded`."""
        sent = self.headers.get("content-type", "")
        if sent.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
            raise ValueError(
                f"The body of {self.method} {self.path} is no urlencoded form but {sent or 'plain'}"
            )
        return Fields(parse_qsl(await self.text(), keep_blank_values=True))

    def __repr__(self) -> str:
        return f"<{self.method} {self.url}>"


async def _one_piece(body: bytes) -> AsyncIterator[bytes]:
    if body:
        yield body
