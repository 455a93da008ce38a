"""A signal for whoever waits for new data: long polls and live pages.

Owns waiting, nothing else. Missing a wake-up is impossible as long as the caller looks at the data
after taking `version` and before it waits.
"""

from __future__ import annotations

import asyncio


class Changes:
    """Counts commits and wakes those who wait for the next one."""

    def __init__(self) -> None:
        self.version = 0
        self._waiting: set[asyncio.Future[None]] = set()
        self._closed = False

    def announce(self) -> None:
        """Something was committed."""
        self.version += 1
        self._wake()

    def close(self) -> None:
        """Wakes everybody for the last time."""
        self._closed = True
        self._wake()

    @property
    def closed(self) -> bool:
        """Whether the server is going away, so that nobody should wait again."""
        return self._closed

    async def wait(self, seen_version: int, timeout_s: float) -> None:
        """Returns when something came after `seen_version`, or at the timeout."""
        if self.version != seen_version or self._closed:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(future)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)
