"""The live feed: new events as server-sent events, each an HTML row.

Owns one endless response per open page. Reads from the store after each commit, so a row is shown
once it is durable; ends when the page goes or the server stops.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import msgspec
from starlette.requests import Request
from starlette.responses import StreamingResponse

from posthog_local.store.reader import EventFilter
from posthog_local.store.store import Store
from posthog_local.store.views import View
from posthog_local.ui.render import HEADERS, Renderer

# A comment line at least this often, so that a dead connection is noticed on both sides.
_HEARTBEAT_S = 15.0
_ROWS_PER_MESSAGE = 100


def live_rows(
    request: Request, store: Store, renderer: Renderer, wanted: EventFilter
) -> StreamingResponse:
    """Streams the rows of matching events after `wanted.after_seq`."""

    def rows_after(after: int, view: View) -> tuple[int, str]:
        found = view.events.events(
            msgspec.structs.replace(wanted, after_seq=after), _ROWS_PER_MESSAGE
        )
        rows = renderer.text("_rows.html", events=found[::-1]) if found else ""
        return (found[-1].seq if found else after), rows

    async def messages() -> AsyncIterator[str]:
        after = wanted.after_seq
        yield "retry: 1000\n\n"
        while not store.changes.closed:
            seen = store.changes.version
            after, rows = await store.read(partial(rows_after, after))
            if rows:
                lines = "".join(f"data: {line}\n" for line in rows.splitlines())
                yield f"id: {after}\n{lines}\n"
                continue
            await store.changes.wait(seen, _HEARTBEAT_S)
            if store.changes.version == seen:
                yield ": still here\n\n"

    return StreamingResponse(messages(), media_type="text/event-stream", headers=HEADERS)
