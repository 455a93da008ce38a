"""The calls that actions make to the server, over their isolate's channel.

Owns their ids and who waits for which answer. Never looks into what is asked or answered. One
invariant: an answer that nobody waits for any more is dropped.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from pyconvex.runtime.processes import messages


class ServerCalls:
    """The calls of all actions of one isolate."""

    def __init__(self, send: Callable[[messages.Frame], None]) -> None:
        self._send = send
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[messages.CallBack]] = {}

    async def ask(
        self,
        run_id: int,
        kind: str,
        component: str = "",
        path: str = "",
        args: bytes = b"",
        span_id: str = "",
        user_id: str | None = None,
    ) -> messages.CallBack:
        """Call, as the run of that id, and wait for the answer."""
        call_id = next(self._ids)
        answer: asyncio.Future[messages.CallBack] = asyncio.get_running_loop().create_future()
        self._waiting[call_id] = answer
        self._send(messages.CallOut(run_id, call_id, kind, component, path, args, span_id, user_id))
        return await answer

    def call_back(self, reply: messages.CallBack) -> None:
        """The server has answered."""
        answer = self._waiting.pop(reply.call_id, None)
        if answer is not None and not answer.done():
            answer.set_result(reply)
