"""The sync protocol over an ASGI WebSocket: the shell around `protocol`.

Owns the socket, the tasks and the watches of each connection. Never decides anything about the
protocol. One invariant: a mutation or action that has started runs to its end, also when its client
has gone; everything else of a connection ends with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.types import Receive, Scope
from starlette.types import Send as AsgiSend

from pyconvex.identity import AuthenticationError, Authenticator
from pyconvex.runtime.calls import Failure, Host, HostError, Settled, Watch
from pyconvex.sync.chunks import frames, takes_chunks
from pyconvex.sync.protocol import (
    Close,
    Effect,
    Instant,
    RunAction,
    RunMutation,
    Send,
    State,
    SyncProtocol,
    Verify,
)
from pyconvex.sync.queryset import Round
from pyconvex.sync.results import ResultEncoder

#: Turns of the event loop between "a round is due" and its begin, in which frames that the client
#: sent together but that did not arrive together are read: one to be told that the socket is
#: readable, one to read it, one to feed what was read.
COALESCING_TURNS = 3
#: A client that asks without reading the answers is not read from while so many frames wait.
MAX_WAITING_FRAMES = 256

_log = logging.getLogger(__name__)


def system_instant() -> Instant:
    """Now, by the clocks of this machine."""
    return Instant(time.monotonic(), time.time_ns())


def random_request_id() -> str:
    """Sixteen random hex digits."""
    return secrets.token_hex(8)


class SyncEndpoint:
    """An ASGI application for WebSockets that speaks the sync protocol on every path.

    endpoint = SyncEndpoint(host, authenticator)
    app = create_app(host, authenticator=authenticator, sync=endpoint, …)
    """

    def __init__(
        self,
        host: Host,
        authenticator: Authenticator,
        *,
        redact: bool = False,
        clock: Callable[[], Instant] = system_instant,
        new_request_id: Callable[[], str] = random_request_id,
    ) -> None:
        self.host = host
        self.authenticator = authenticator
        self.clock = clock
        self.new_request_id = new_request_id
        self.encoder = ResultEncoder(redact=redact, new_request_id=new_request_id)
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: AsgiSend) -> None:
        await receive()  # websocket.connect, by the ASGI specification
        await send({"type": "websocket.accept"})
        await _Session(self, receive, send, in_parts=takes_chunks(scope["path"])).run()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something that may outlive its connection."""
        task = asyncio.create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task


class _Session:
    """One connection."""

    def __init__(
        self, endpoint: SyncEndpoint, receive: Receive, send: AsgiSend, *, in_parts: bool
    ) -> None:
        self._endpoint = endpoint
        self._in_parts = in_parts
        self._receive = receive
        self._send = send
        self._clock = endpoint.clock
        self._protocol = SyncProtocol(
            endpoint.encoder, new_request_id=endpoint.new_request_id, now=self._clock()
        )
        self._watches: dict[int, Watch] = {}
        self._outbox: deque[Send | Close] = deque()
        self._outbox_filled = asyncio.Event()
        self._outbox_has_room = asyncio.Event()
        self._outbox_has_room.set()
        self._round_due = asyncio.Event()
        #: True when the client has said something since the last round began.
        self._asked = False
        #: The commit of this client's mutation between becoming visible and being answered.
        self._unanswered_ts: int | None = None
        self._answered = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Serve the connection until either side closes it."""
        self._set_timer()
        loops = [asyncio.create_task(loop()) for loop in (self._read, self._write, self._rounds)]
        try:
            await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._end()
            for loop in loops:
                loop.cancel()
            ends = await asyncio.gather(*loops, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    def _end(self) -> None:
        self._protocol.closed()
        if self._timer is not None:
            self._timer.cancel()
        for watch in self._watches.values():
            watch.close()
        self._watches.clear()

    # --- the three loops

    async def _read(self) -> None:
        while True:
            event = await self._receive()
            if event["type"] == "websocket.disconnect":
                return
            self._asked = True
            text = event.get("text")
            self._protocol.received(event["bytes"] if text is None else text, self._clock())
            self._carry_out()
            await self._outbox_has_room.wait()

    async def _write(self) -> None:
        with contextlib.suppress(OSError):  # the client has gone
            while True:
                await self._outbox_filled.wait()
                self._outbox_filled.clear()
                while self._outbox:
                    item = self._outbox.popleft()
                    if isinstance(item, Close):
                        code, reason = item
                        await self._send(
                            {"type": "websocket.close", "code": code, "reason": reason}
                        )
                        return
                    text = item.frame.decode()
                    for frame in frames(text) if item.is_transition and self._in_parts else (text,):
                        await self._send({"type": "websocket.send", "text": frame})
                    if item.is_transition:
                        self._protocol.transition_sent()
                        self._carry_out()
                self._outbox_has_room.set()

    async def _rounds(self) -> None:
        while True:
            await self._round_due.wait()
            if self._asked:
                self._asked = False
                for _ in range(COALESCING_TURNS):
                    await asyncio.sleep(0)
            self._round_due.clear()
            plan = self._protocol.begin(self._clock())
            if plan is not None:
                await self._round(plan)
            self._carry_out()

    async def _round(self, plan: Round) -> None:
        try:
            settled = await self._settle(plan)
        except HostError as error:
            return self._protocol.host_failed(error)
        except Exception:
            _log.exception("The queries of a connection could not be settled; it is closed.")
            return self._protocol.host_failed(_internal_error())
        # Shown before the answer, its writes would come on top of the optimistic update that still
        # stands for them.
        while self._unanswered_ts is not None and self._unanswered_ts <= settled.ts:
            self._answered.clear()
            await self._answered.wait()
        self._protocol.settled(settled, self._clock())

    async def _settle(self, plan: Round) -> Settled:
        queries = self._endpoint.host.queries
        for opening in plan.opening:
            self._watches[opening.serial] = queries.watch(
                opening.call, opening.journal, self._stale
            )
        for serial in plan.closing:
            self._watches.pop(serial).close()
        watches = [self._watches[serial] for serial in plan.settling]
        return await queries.settle(watches, plan.not_before_ts)

    # --- events

    def _stale(self) -> None:
        self._protocol.stale()
        self._carry_out()

    def _set_timer(self) -> None:
        delay = max(0.0, self._protocol.wake_at_s() - self._clock().monotonic_s)
        self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._protocol.tick(self._clock())
        self._carry_out()
        if self._protocol.state is not State.CLOSED:
            self._set_timer()

    # --- effects

    def _carry_out(self) -> None:
        for effect in self._protocol.effects():
            self._carry_out_one(effect)
        if self._protocol.due:
            self._round_due.set()

    def _carry_out_one(self, effect: Effect) -> None:
        match effect:
            case Send() | Close():
                self._outbox.append(effect)
                self._outbox_filled.set()
                if len(self._outbox) >= MAX_WAITING_FRAMES:
                    self._outbox_has_room.clear()
            case Verify():
                self._endpoint.spawn(self._verify(effect))
            case RunMutation():
                self._endpoint.spawn(self._run_mutation(effect))
            case RunAction():
                self._endpoint.spawn(self._run_action(effect))

    async def _verify(self, effect: Verify) -> None:
        authenticator = self._endpoint.authenticator
        try:
            if effect.token_type == "Admin":  # noqa: S105 - the protocol's word
                caller = await authenticator.admin_key(effect.value, effect.acting_as)
            else:
                caller = await authenticator.token(effect.value)
        except AuthenticationError as error:
            self._protocol.refused(error, self._clock())
        except Exception:
            _log.exception("A credential could not be verified; its connection is closed.")
            self._protocol.host_failed(_internal_error())
        else:
            self._protocol.verified(caller, self._clock())
        self._carry_out()

    async def _run_mutation(self, effect: RunMutation) -> None:
        try:
            outcome = await self._endpoint.host.run_mutation(
                effect.call, effect.replay, self._visible
            )
        except HostError as error:
            self._protocol.host_failed(error)
        except Exception:
            _log.exception("A mutation could not be run; its connection is closed.")
            self._protocol.host_failed(_internal_error())
        else:
            self._protocol.mutation_finished(outcome, self._clock())
        self._unanswered_ts = None
        self._answered.set()
        self._carry_out()

    def _visible(self, ts: int) -> None:
        self._unanswered_ts = ts

    async def _run_action(self, effect: RunAction) -> None:
        # Clients don't repeat an action, so closing the socket would tell less than an answer.
        try:
            outcome = await self._endpoint.host.run_action(effect.call)
        except HostError as error:
            outcome = Failure(error.message)
        except Exception:
            _log.exception("An action could not be run.")
            outcome = Failure(_internal_error().message)
        self._protocol.action_finished(effect.request_id, outcome, self._clock())
        self._carry_out()


def _internal_error() -> HostError:
    return HostError(
        500, "InternalServerError", "Your request couldn't be completed. Try again later."
    )
