"""A PostHog that only counts: as little work as an ingestion endpoint can do.

Owns a server of one process that takes `/batch/` and tells what came. Never stores events, so that
what is measured is the sender. Invariant: an event's arrival is stamped before anything about it is
read.

`python -c "from benchmarks.receiver import run; run(PORT)"`.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from typing import Any

from benchmarks.load import message_size

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "


class Counts:
    """What arrived since the last time that somebody asked."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.requests = 0
        self.definitions = 0
        self.events = 0
        #: When each event that has a `number` arrived, in seconds since 1970.
        self.arrivals: dict[int, float] = {}

    def take(self, head: bytes, body: bytes) -> bytes:
        now = time.time()
        path = head.split(b" ", 2)[1]
        if path.startswith(b"/batch"):
            self._batch(body, now)
            return b'{"status":1}'
        if path.startswith(b"/flags/definitions"):
            self.definitions += 1
            return b'{"flags":[],"cohorts":{},"group_type_mapping":{}}'
        if path.startswith(b"/counts"):
            said = json.dumps(vars(self)).encode()
            self._begin()
            return said
        return b'"ready"'

    def _batch(self, body: bytes, now: float) -> None:
        batch: list[dict[str, Any]] = json.loads(gzip.decompress(body))["batch"]
        self.requests += 1
        self.events += len(batch)
        for event in batch:
            number = event["properties"].get("number")
            if number is not None:
                self.arrivals[int(number)] = now


async def serve(port: int) -> None:
    counts = Counts()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = b""
                if b"content-length" in head.lower():
                    body = await reader.readexactly((message_size(head) or 0) - len(head))
                said = counts.take(head, body)
                writer.write(_ANSWER + str(len(said)).encode() + b"\r\n\r\n" + said)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", port, limit=64 * 2**20)
    await server.serve_forever()


def run(port: int) -> None:
    """Serve until killed."""
    asyncio.run(serve(port))
