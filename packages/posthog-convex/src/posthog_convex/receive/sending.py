"""HTTP to PostHog.

Owns the connections and the only place of this room that knows an HTTP library. Never retries,
follows a redirect or reads an answer's meaning. One invariant: a request ends within its deadline,
as an answer or as a sentence that says why there is none.
"""

from __future__ import annotations

import asyncio

import httpx2

from posthog_convex.destination import Answer
from posthog_convex.events.batch import USER_AGENT
from posthog_convex.receive.answers import Reply
from posthog_convex.receive.outlets import Outgoing

DEADLINE_S = 10.0


class Sender:
    """One pool of connections."""

    def __init__(self, *, deadline_s: float = DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        self._client = httpx2.AsyncClient(timeout=deadline_s)

    async def send(self, outgoing: Outgoing) -> Reply | str:
        """Send once."""
        return await self._post(outgoing.url, outgoing.headers, outgoing.body)

    async def ask(self, url: str, body: bytes, /) -> Answer | str:
        """Ask whether a token is known (`posthog_convex.destination.Ask`)."""
        headers = (("Content-Type", "application/json"), ("User-Agent", USER_AGENT))
        reply = await self._post(url, headers, body)
        return reply if isinstance(reply, str) else Answer(reply.status, reply.headers)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _post(
        self, url: str, headers: tuple[tuple[str, str], ...], body: bytes
    ) -> Reply | str:
        try:
            async with asyncio.timeout(self._deadline_s):
                answer = await self._client.post(url, headers=list(headers), content=body)
        except TimeoutError:
            return f"no answer within {self._deadline_s:g} s"
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
            return f"{type(error).__name__}: {error}"
        named = {name.lower(): value for name, value in answer.headers.items()}
        return Reply(answer.status_code, named, answer.content)
