"""One run of an action, inside an action isolate.

Owns the run from its arguments to its report: an action, a blocking one, or one that answers a
request. Never opens a transaction for the handler. One invariant: an action waits only on its own
calls; several run side by side in one isolate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from pyconvex.functions import ActionCtx, BlockingActionCtx, HttpActionCtx
from pyconvex.functions.blocking import Wait
from pyconvex.identity import Identity
from pyconvex.runtime import purity
from pyconvex.runtime.app.calling import (
    Callee,
    Caller,
    bind_arguments,
    encode_result,
    find_endpoint,
    find_for_client,
    read_arguments,
)
from pyconvex.runtime.app.image import AppImage
from pyconvex.runtime.http_actions.http_action import respond
from pyconvex.runtime.processes import messages
from pyconvex.runtime.processes.black_box import BlackBox
from pyconvex.runtime.running.action_frame import ActionFrame
from pyconvex.runtime.running.errors import describe_error
from pyconvex.runtime.running.output import CURRENT_LOG
from pyconvex.runtime.running.person import Person
from pyconvex.runtime.running.reporting import Reporting
from pyconvex.runtime.running.server_calls import ServerCalls
from pyconvex.runtime.running.snapshots import Snapshots
from pyconvex.runtime.running.threads import in_thread
from pyconvex.runtime.running.variables import all_variables
from pyconvex.storage import Reader


class ActionRunner:
    """Runs the actions of one isolate; `call_back` completes what they wait for.

    `on_raised` gets what an action raised, which is of use only in this process. With `box`, what
    they tell is written down there as it comes.
    """

    def __init__(
        self,
        image: AppImage,
        reader: Reader,
        send: Callable[[messages.Frame], None],
        on_raised: Callable[[messages.Start, BaseException], None] = lambda start, raised: None,
        box: BlackBox | None = None,
    ) -> None:
        self.image = image
        self._snapshots = Snapshots(reader)
        self._calls = ServerCalls(send)
        self._send = send
        self._on_raised = on_raised
        self._box = box
        #: Of actions that are over, until the server can have what they ended with.
        self._over: list[Reporting] = []
        #: Whether a thread goes on here although its action was cancelled.
        self.left_thread = False

    async def run(self, start: messages.Start, who: Identity) -> messages.Finished:
        """Run one action to its end; whatever it raises becomes part of what is returned."""
        person = Person(who, self.image.user_id, start.session_id)
        reporting = Reporting(
            self.image,
            person,
            start,
            lambda lines, items: self._send(
                messages.Told(
                    start.run_id, lines, items, person.on_record(personal=True), person.session_id
                )
            ),
            self._box,
        )
        CURRENT_LOG.set(reporting.log)
        value = data = None
        error = ""
        raised: BaseException | None = None
        run = self._respond if start.kind == messages.HTTP_ACTION else self._invoke
        try:
            value = await run(start, reporting)
        except (Exception, asyncio.CancelledError) as caught:
            if _this_task_is_cancelled():
                reporting.tell_rest()
                self._over.append(reporting)
                raise
            raised = caught
            self._on_raised(start, caught)
            error, data = describe_error(caught, actions=True)
        except BaseException:  # it ends the process, and nobody is told how
            reporting.tell_rest()
            raise
        report = reporting.report(raised)
        self._over.append(reporting)
        return messages.Finished(start.run_id, value, error, data, report, True, b"")

    def sent(self) -> None:
        """Everything that was to be sent is on its way: it reaches the server."""
        while self._over:
            self._over.pop().over()

    def call_back(self, reply: messages.CallBack) -> None:
        """Complete a call."""
        self._calls.call_back(reply)

    async def _invoke(self, start: messages.Start, reporting: Reporting) -> bytes:
        callee = find_for_client(
            self.image, start.component, start.path, start.kind, public_only=start.public_only
        )
        with self._snapshots.newest() as tables:
            bound = bind_arguments(
                callee, read_arguments(callee, start.args), tables.namespace(start.component)
            )
            environment = all_variables(callee.component, tables)
        frame = self._frame(start, callee, environment, reporting)
        with reporting.traced(callee.path, callee.component.path, environment):
            if callee.function.blocking:
                result = await self._in_thread(callee, frame, bound)
            else:
                result = await callee.function.handler(ActionCtx(frame), **bound)
        with self._snapshots.newest() as tables:
            return encode_result(callee, result, tables.namespace(start.component))

    async def _in_thread(self, callee: Callee, frame: ActionFrame, bound: dict[str, Any]) -> Any:
        def work(wait: Wait) -> Any:
            return callee.function.handler(BlockingActionCtx(frame, wait), **bound)

        try:
            return await in_thread(work, callee.path)
        except asyncio.CancelledError:
            self.left_thread |= _this_task_is_cancelled()
            raise

    async def _respond(self, start: messages.Start, reporting: Reporting) -> bytes:
        endpoint = find_endpoint(self.image, start.component, start.path)
        head = msgspec.msgpack.decode(start.args, type=messages.RequestHead)
        with self._snapshots.newest() as tables:
            environment = all_variables(endpoint.component, tables)
        frame = self._frame(start, endpoint, environment, reporting, head.refused)

        async def ask(kind: str, args: bytes = b"") -> messages.CallBack:
            return await self._calls.ask(start.run_id, kind, args=args)

        with reporting.traced(endpoint.path, endpoint.component.path, environment):
            await respond(endpoint.action, HttpActionCtx(frame), head, ask)
        return b"null"

    def _frame(
        self,
        start: messages.Start,
        callee: Caller,
        environment: dict[str, str],
        reporting: Reporting,
        refused: str = "",
    ) -> ActionFrame:
        frame = ActionFrame(
            self.image,
            self._snapshots,
            self._calls,
            start,
            callee,
            environment,
            reporting,
            refused,
        )
        purity.enter_call(frame)  # for good: each action is a task of its own
        return frame


def _this_task_is_cancelled() -> bool:
    """Whether a cancellation is meant for this run, and not for something that it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
