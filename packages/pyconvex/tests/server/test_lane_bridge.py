"""What a lane asks of the server runs as a request of its own."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from pyconvex.runtime.calls import FunctionCall
from pyconvex.server.lanes import LaneBridge


def test_calls_of_lanes_are_requests_and_traces_of_their_own() -> None:
    calls: list[FunctionCall] = []

    async def run(call: FunctionCall) -> Any:
        calls.append(call)
        return SimpleNamespace(value=b"null")

    host: Any = SimpleNamespace(run_query=run, run_mutation=run)
    nothing: Any = None
    bridge = LaneBridge(host, nothing, nothing)
    for kind in ("query", "mutation", "mutation"):
        asyncio.run(bridge.run(kind, "mail", "queue:note", b"{}"))
    assert len({call.request_id for call in calls}) == 3
