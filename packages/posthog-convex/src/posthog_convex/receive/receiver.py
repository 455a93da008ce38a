"""The receiver as an ASGI app.

Owns the routes, their answers, and the life of what works behind them. Never answers for PostHog:
200 means that the batch is on disk here. One invariant: a status that makes Convex drop a batch is
given only to what is not Convex's, or can never be read.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from posthog_convex.destination import NotNow, NotVerifiable, Rejected, verify
from posthog_convex.exceptions import Budget
from posthog_convex.receive.delivery import BadBody, Delivery, read_delivery
from posthog_convex.receive.forwarder import Forwarder
from posthog_convex.receive.outlets import ErrorsOutlet, LogsOutlet, Outlet
from posthog_convex.receive.sending import Sender
from posthog_convex.receive.settings import Settings, SettingsError
from posthog_convex.receive.signature import HEADER, is_signed
from posthog_convex.receive.spool import Spool, Taken

#: A batch of Convex has at most 128 events, of 32 KiB lines that may need escapes.
MAX_BODY_BYTES = 32 * 1024 * 1024
#: Between two looks for digests that may be forgotten.
_SWEEP_S = 600.0
#: Digests are kept for so long beyond the window, so that clocks may differ.
_SLACK_S = 3600.0
#: Where no batch is too old, they are known for so long.
_KNOWN_S = 48 * 3600.0

_log = logging.getLogger("posthog_convex.receive")

NO_PERSONS = "Lines and errors are linked to no person: Convex's webhook does not say who called."


class Receiver:
    """Takes batches in and lets them out, while it is open."""

    def __init__(self, settings: Settings, now_s: Callable[[], float]) -> None:
        self._settings = settings
        self._now_s = now_s
        self._spool: Spool | None = None
        self._forwarders: dict[str, Forwarder] = {}
        self._errors: ErrorsOutlet | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Verify the token, open the spool, forward until the block ends.

        Raises `SettingsError` when PostHog says that the token is wrong.
        """
        async with AsyncExitStack() as stack:
            sender = Sender()
            stack.push_async_callback(sender.aclose)
            await self._verify(sender)
            outlets = self._outlets()
            size = self._settings.max_spool_mb * 1_000_000
            names = [outlet.name for outlet in outlets]
            self._spool = Spool(self._settings.data, names, max_bytes=size)
            stack.callback(self._spool.close)
            self._forwarders = {
                outlet.name: Forwarder(outlet, self._spool, sender.send) for outlet in outlets
            }
            work: list[Awaitable[None]] = [each.run() for each in self._forwarders.values()]
            tasks = [asyncio.ensure_future(each) for each in (*work, self._sweep())]
            stack.push_async_callback(_end, tasks)
            yield

    async def take(self, delivery: Delivery) -> Taken:
        """Keep a batch."""
        assert self._spool is not None
        if not delivery.texts:
            return Taken.ACCEPTED
        now_ms = self._now_s() * 1000
        taken = await asyncio.to_thread(self._spool.accept, delivery.digest, delivery.texts, now_ms)
        for forwarder in self._forwarders.values():
            forwarder.wake()
        return taken

    def counts(self) -> dict[str, object]:
        """How every way out is doing, in numbers."""
        assert self._spool is not None
        shown: dict[str, object] = {}
        for name, forwarder in self._forwarders.items():
            found = self._spool.waiting(name)
            shown[name] = {
                "waiting": found.waiting,
                "sent": found.sent,
                "setAside": found.set_aside,
                "failing": forwarder.pace.failures > 0,
            }
        if self._errors is not None:
            shown["errorsLeftOut"] = self._errors.left_out
        return shown

    def _outlets(self) -> Sequence[Outlet]:
        settings, made = self._settings, list[Outlet]()
        if settings.logs:
            made.append(LogsOutlet(settings.destination, settings.service_name))
        if settings.errors:
            budget = Budget(sample_rate=settings.sample_rate, per_minute=settings.errors_per_minute)
            self._errors = ErrorsOutlet(settings.destination, budget)
            made.append(self._errors)
        return made

    async def _verify(self, sender: Sender) -> None:
        match await verify(self._settings.destination, sender.ask):
            case Rejected(reason):
                raise SettingsError(f"PostHog refuses the settings: {reason}")
            case NotVerifiable(reason) | NotNow(reason):
                _log.warning("the project token was not verified: %s", reason)

    async def _sweep(self) -> None:
        window_s = self._settings.replay_window_s
        known_s = window_s + _SLACK_S if window_s else _KNOWN_S
        while True:
            assert self._spool is not None
            before_ms = (self._now_s() - known_s) * 1000
            await asyncio.to_thread(self._spool.forget_batches, before_ms)
            await asyncio.sleep(_SWEEP_S)


@asynccontextmanager
async def opened(
    settings: Settings, now_s: Callable[[], float] = time.time
) -> AsyncIterator[Receiver]:
    """A receiver that works until the block ends; raises what `Receiver.open` does."""
    receiver = Receiver(settings, now_s)
    async with receiver.open():
        yield receiver


def create_app(
    settings: Settings,
    *,
    receiver: Receiver | None = None,
    now_s: Callable[[], float] = time.time,
) -> Starlette:
    """The ASGI app: `POST /` for Convex's webhook, `GET /health` for whoever watches it.

    With an open `receiver` it uses that; otherwise it opens one of its own for its lifespan.
    """
    working = receiver or Receiver(settings, now_s)

    async def webhook(request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return _refused(413, f"the body has more than {MAX_BODY_BYTES} bytes")
        if not is_signed(body, request.headers.get(HEADER), settings.secrets):
            return _refused(401, f"the header {HEADER} does not fit the body and the secret")
        try:
            delivery = read_delivery(body)
        except BadBody as error:
            return _refused(400, str(error))
        if delivery.is_too_old(now_s() * 1000, settings.replay_window_s):
            window = f"{settings.replay_window_s:g} s"
            return _refused(400, f"the newest event is older than the replay window of {window}")
        return await _keep(working, delivery)

    async def health(_: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(working.counts))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if receiver is None:
                await stack.enter_async_context(working.open())
            yield

    return Starlette(
        routes=[
            Route("/", webhook, methods=["POST"]),
            Route("/health", health, methods=["GET"]),
        ],
        lifespan=lifespan,
    )


async def _keep(receiver: Receiver, delivery: Delivery) -> Response:
    try:
        taken = await receiver.take(delivery)
    except sqlite3.Error as error:
        return _later(f"the batch could not be stored: {error}")
    if taken is Taken.FULL:
        return _later("the spool is full")
    return JSONResponse({"status": taken.value, "events": len(delivery.texts)})


async def _body(request: Request) -> bytes | None:
    """The bytes as they came; None when there are too many."""
    found = bytearray()
    async for piece in request.stream():
        found += piece
        if len(found) > MAX_BODY_BYTES:
            return None
    return bytes(found)


def _refused(status: int, reason: str) -> Response:
    _log.warning("a request was refused with %s: %s", status, reason)
    return JSONResponse({"error": reason}, status)


def _later(reason: str) -> Response:
    """Convex sends the batch again, up to five times; then it drops it."""
    _log.error("%s: Convex is told to send again later", reason)
    return JSONResponse({"error": f"{reason}; send it again later"}, 503, {"Retry-After": "30"})


async def _end(tasks: Sequence[asyncio.Future[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
