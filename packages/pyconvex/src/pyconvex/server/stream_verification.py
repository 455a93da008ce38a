"""Finding out whether log streams would be taken where they go.

Owns the verifications that are under way, at most one a stream. Never changes a stream: whoever
asked for a verification hears how it ended. One invariant: every verification ends, within a bound
or with the server, and what it says holds no secret.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from pyconvex.delivery.transport import Transport
from pyconvex.log_streams import Deployment, NotVerified
from pyconvex.log_streams.redaction import Redaction
from pyconvex.log_streams.registry import sinks
from pyconvex.server.stream_records import StreamRecord

#: A verification that takes longer has failed.
VERIFY_WITHIN_S = 15.0


class Verifications:
    """Verifies streams in the background.

    `judged` hears of each stream why events would not be taken, or None when they would.
    """

    def __init__(
        self,
        deployment: Deployment,
        transport: Transport,
        judged: Callable[[StreamRecord, str | None], Awaitable[None]],
    ) -> None:
        self._deployment = deployment
        self._transport = transport
        self._judged = judged
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def begin(self, stream: StreamRecord) -> None:
        """Verify the stream with these settings; an earlier verification of it ends."""
        self.end(stream.id)
        task = self._under_way[stream.id] = asyncio.create_task(self._verify(stream))
        task.add_done_callback(lambda done: self._ended(stream.id, done))

    def end(self, id: str) -> None:
        """The stream is gone, or has other settings by now."""
        if (task := self._under_way.pop(id, None)) is not None:
            task.cancel()

    async def stop(self) -> None:
        """End all of them."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._transport.aclose()

    async def verdict(self, stream: StreamRecord) -> str | None:
        """Why events of this stream would not be taken; None when they would."""
        kind = sinks().get(stream.stream_type)
        if kind is None:
            return f"Log streams of the kind {stream.stream_type} are not installed here."
        redaction = Redaction(kind, stream.config)
        transport = redaction.answers_of(self._transport)
        try:
            async with asyncio.timeout(VERIFY_WITHIN_S):
                await kind().verify(stream.config, self._deployment, transport)
        except NotVerified as failed:
            return redaction.text(str(failed))
        except TimeoutError:
            return f"It was not verified within {VERIFY_WITHIN_S:.0f} s."
        except Exception as error:  # the kind's own mistake
            said = redaction.text(f"{type(error).__name__}: {error}")
            return f"It could not be verified: {said}"
        return None

    async def _verify(self, stream: StreamRecord) -> None:
        await self._judged(stream, await self.verdict(stream))

    def _ended(self, id: str, task: asyncio.Task[None]) -> None:
        if self._under_way.get(id) is task:
            del self._under_way[id]
