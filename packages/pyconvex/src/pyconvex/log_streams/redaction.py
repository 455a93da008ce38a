"""Keeping a stream's secrets out of what is told of its requests.

Owns replacing them. Never decides what is told. One invariant: a receiver that repeats what it was
sent, as some do in their errors, gets no secret into a status, a page or a log of the host.
"""

from __future__ import annotations

from pyconvex.delivery import Request, Response, Transport, Unreachable
from pyconvex.log_streams.sink import Config, Sink

#: What stands in a secret's place.
REDACTED = "[redacted]"
#: A shorter text would be found in words.
_LEAST_CHARS = 4


class Redaction:
    """The secrets of one stream: those of its settings, and those that the host made for it.

    >>> class TeaSink(Sink):
    ...     generated = ("hmacSecret",)
    >>> Redaction(TeaSink, {"hmacSecret": "s3cret"}).text("no s3cret here")
    'no [redacted] here'
    """

    def __init__(self, kind: type[Sink], config: Config) -> None:
        names = [field.name for field in kind.fields if field.kind == "secret"]
        values = [str(config.get(name) or "").strip() for name in (*names, *kind.generated)]
        self._secrets = [value for value in values if len(value) >= _LEAST_CHARS]

    def text(self, text: str) -> str:
        """The text without them."""
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        return text

    def answers_of(self, transport: Transport) -> Transport:
        """The same way out; what comes back has none of them."""
        return _Redacting(transport, self)

    def of(self, response: Response) -> Response:
        """The response without them."""
        body = response.body
        for secret in self._secrets:
            body = body.replace(secret.encode(), REDACTED.encode())
        headers = {name: self.text(value) for name, value in response.headers.items()}
        return Response(response.status, headers, body)


class _Redacting:
    def __init__(self, transport: Transport, redaction: Redaction) -> None:
        self._transport = transport
        self._redaction = redaction

    async def send(self, request: Request) -> Response:
        try:
            return self._redaction.of(await self._transport.send(request))
        except Unreachable as error:
            raise Unreachable(self._redaction.text(str(error))) from None

    async def aclose(self) -> None:
        await self._transport.aclose()
