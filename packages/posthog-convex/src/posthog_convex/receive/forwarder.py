"""Carries what waits in the spool out, through one outlet.

Owns the loop: read, send, and what an answer leads to. Never gives an event up by itself. One
invariant: an event leaves when PostHog has taken it, or alone and refused, set aside with a reason.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from posthog_convex.logs import BodyTooLarge
from posthog_convex.receive.answers import Accepted, Later, Reply, TooMuch, Verdict, verdict_of
from posthog_convex.receive.outlets import Outgoing, Outlet
from posthog_convex.receive.pace import Pace
from posthog_convex.receive.spool import Row, Spool

#: Events of one request, and their bytes as they came.
MAX_ROWS = 400
MAX_BYTES = 1024 * 1024
_MISHAP_PAUSE_S = 5.0

Send = Callable[[Outgoing], Awaitable[Reply | str]]
_log = logging.getLogger("posthog_convex.receive")


class Forwarder:
    """Empties the spool through an outlet for as long as it runs."""

    def __init__(
        self,
        outlet: Outlet,
        spool: Spool,
        send: Send,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.pace = Pace(most=MAX_ROWS)
        self._outlet = outlet
        self._spool = spool
        self._send = send
        self._sleep = sleep
        self._chance = chance
        self._woken = asyncio.Event()
        #: Whether it was told that PostHog takes requests in part.
        self._told_of_parts = False
        #: What PostHog has taken and the spool could not note, for want of disk, say: the last
        #: event, and how many. It is not sent again while the process lives.
        self._unnoted: tuple[int, int] | None = None

    def wake(self) -> None:
        """There may be new events."""
        self._woken.set()

    async def run(self) -> None:
        """Forward until cancelled."""
        while True:
            self._woken.clear()
            try:
                pause_s = await self.step()
            except Exception as error:  # a full disk, say; nothing was lost by it
                pause_s = self.pace.failed(str(error), _MISHAP_PAUSE_S, self._chance())
                if self.pace.failures == 1:
                    _log.exception("%s: stopped, and tried again", self._outlet.name)
            if pause_s is None:
                await self._woken.wait()
            elif pause_s:
                await self._sleep(pause_s)

    async def step(self) -> float | None:
        """Send once; seconds to wait then, or None when nothing is left."""
        if self._unnoted is not None:
            await self._note(*self._unnoted)
        rows = await asyncio.to_thread(
            self._spool.read, self._outlet.name, self.pace.rows, MAX_BYTES
        )
        if not rows:
            return None
        count, verdict = await self._deliver(rows)
        return await self._settle(rows, count, verdict)

    async def _deliver(self, rows: list[Row]) -> tuple[int, Verdict]:
        try:
            outgoing = self._outlet.encode(rows)
        except BodyTooLarge as error:
            return 0, TooMuch(str(error))
        except Exception as error:  # whatever encoding raises belongs to these events
            return 0, TooMuch(f"could not be encoded: {type(error).__name__}: {error}")
        if outgoing is None:
            return 0, Accepted()
        return outgoing.count, verdict_of(await self._send(outgoing))

    async def _settle(self, rows: list[Row], count: int, verdict: Verdict) -> float:
        name = self._outlet.name
        match verdict:
            case Accepted(rejected, reason):
                if (rejected or reason) and not self._told_of_parts:
                    self._told_of_parts = True
                    what = f"dropped {rejected} of {count}" if rejected else "took all, and warns"
                    _log.warning("%s: PostHog %s (%s)", name, what, reason or "no reason given")
                if self.pace.failures:
                    _log.info("%s: forwarding again", name)
                self.pace.accepted()
                await self._note(rows[-1].seq, max(0, count - rejected))
                return 0.0
            case Later(reason, after_s):
                pause_s = self.pace.failed(reason, after_s, self._chance())
                if self.pace.failures == 1:
                    _log.warning("%s: %s; events are kept and sent again", name, reason)
                return pause_s
            case TooMuch(reason) if len(rows) == 1:
                await asyncio.to_thread(self._spool.set_aside, name, rows[0], reason)
                self._outlet.done(rows[0].seq)
                _log.error("%s: an event was set aside (%s); the rest goes on", name, reason)
                return 0.0
            case TooMuch():
                self.pace.too_much(len(rows))
                return 0.0

    async def _note(self, through: int, count: int) -> None:
        """Have the spool forget what was taken."""
        self._unnoted = through, count
        await asyncio.to_thread(self._spool.done, self._outlet.name, through, count)
        self._unnoted = None
        self._outlet.done(through)
