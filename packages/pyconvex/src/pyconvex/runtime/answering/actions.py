"""Actions and HTTP actions on the server's side: one run each, and the calls that they make.

Owns how an action's calls become calls of the host, whose they are, and how deep they may go. Never
decodes arguments or results. One invariant: whatever an action is told or tells the outside is
durable before it goes.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

import msgspec

from pyconvex import identity
from pyconvex.database import DatabaseError
from pyconvex.functions import FunctionCallError
from pyconvex.identity.session import session_id_in
from pyconvex.runlog.traces import TraceContext, parse_traceparent, span_id_of
from pyconvex.runtime.answering.outcome import outcome_of, outcome_of_lost
from pyconvex.runtime.answering.reports import RunReports
from pyconvex.runtime.app.calling import MAX_CALL_DEPTH, too_deep
from pyconvex.runtime.calls import (
    Failure,
    FunctionCall,
    FunctionKind,
    HostError,
    JobRef,
    Outcome,
    Success,
)
from pyconvex.runtime.commits.system import SystemTransactions
from pyconvex.runtime.http_actions import http_exchange
from pyconvex.runtime.http_actions.http_exchange import Exchange, HttpCall
from pyconvex.runtime.isolates.runs import IsolateGoneError, OnCall, Run
from pyconvex.runtime.processes import messages
from pyconvex.runtime.scheduling import requests
from pyconvex.values import codec

_KINDS: dict[str, FunctionKind] = {"query": "query", "mutation": "mutation", "action": "action"}


class ActionHost(Protocol):
    """What actions need of the host."""

    @property
    def visible_ts(self) -> int:
        """The newest commit."""

    @property
    def durable_ts(self) -> int:
        """The newest timestamp at which everything is durable."""

    async def wait_durable(self, ts: int) -> None:
        """Return once everything up to `ts` is durable."""

    def submit_action(self, call: FunctionCall, on_call: OnCall) -> Run:
        """Start one in an action isolate."""

    async def run_any(self, call: FunctionCall) -> Outcome:
        """Run a function of whatever kind."""


class Actions:
    """Runs the actions of one host."""

    def __init__(
        self,
        host: ActionHost,
        system: SystemTransactions,
        reports: RunReports,
    ) -> None:
        self._host = host
        self._system = system
        self._reports = reports

    async def run(self, call: FunctionCall, exchange: Exchange | None = None) -> Outcome:
        """Run an action, once; an HTTP action answers through `exchange`."""
        host, reports, statuses = self._host, self._reports, list[int]()
        #: The newest record that it told while it ran and that must last: the log takes them in
        #: order.
        lasting: Awaitable[None] | None = None

        async def on_call(out: messages.CallOut) -> messages.CallBack:
            if exchange is None or out.kind not in http_exchange.KINDS:
                return await self._answer(call, run.start.execution_id, out)
            if out.kind != http_exchange.READ:
                await host.wait_durable(host.visible_ts)
            if out.kind == http_exchange.HEAD:
                statuses.append(http_exchange.status_of(out))
            return await http_exchange.answer(exchange, out)

        def on_told(told: messages.Told) -> None:
            nonlocal lasting
            lasting = reports.tell(reports.going_on(call, run, told)) or lasting

        await host.wait_durable(host.visible_ts)
        run = host.submit_action(call, on_call)
        run.on_told = on_told
        try:
            finished = await run.result()
        except IsolateGoneError as gone:
            return await outcome_of_lost(reports, call, gone, run.start.now_ms, run)
        await host.wait_durable(host.visible_ts)
        status = statuses[-1] if statuses else 0
        await reports.keep(
            reports.ended(call, run.start, finished, told=run.told_count, status=status)
        )
        if lasting is not None:
            await lasting
        return outcome_of(finished, host.durable_ts, run.told)

    async def _answer(
        self, action: FunctionCall, execution_id: str, out: messages.CallOut
    ) -> messages.CallBack:
        """Run what an action calls."""
        if out.kind == "action" and action.depth >= MAX_CALL_DEPTH:
            return messages.CallBack(out.call_id, None, too_deep(out.path), None)
        if out.kind == messages.SCHEDULING:
            return await self._schedule_for(action, out)
        call = FunctionCall(
            kind=_KINDS[out.kind],
            path=out.path,
            args=out.args,
            # A component's functions see nobody, nor do those of the app that it calls back.
            identity=action.identity if out.component == "" else identity.ANONYMOUS,
            request_id=action.request_id,
            origin="action",
            component=out.component,
            public_only=False,
            depth=action.depth + 1,
            parent=execution_id,
            job=_caller_of(action.job),
            session_id=action.session_id,
            trace=_trace_of(action, execution_id, out),
        )
        try:
            outcome = await self._host.run_any(call)
        except HostError as error:
            outcome = Failure(error.message)
        if isinstance(outcome, Success):
            return messages.CallBack(out.call_id, outcome.value, "", None, traced=outcome.traced)
        return messages.CallBack(
            out.call_id, None, outcome.message, outcome.data, outcome.error_id, outcome.traced
        )

    async def _schedule_for(self, action: FunctionCall, out: messages.CallOut) -> messages.CallBack:
        """Schedule or cancel for an action: a transaction of its own."""
        wanted, job = requests.decode(out.args), _caller_of(action.job)
        try:
            id = await self._system.write(lambda tx: requests.apply(tx, wanted, job))
        except (HostError, FunctionCallError, DatabaseError) as error:
            return messages.CallBack(out.call_id, None, str(error), None)
        return messages.CallBack(out.call_id, codec.encode(id), "", None)


def http_call(request: HttpCall, session_header: str) -> FunctionCall:
    """A request to an HTTP action as a call; a component's action sees no caller."""
    inside_app = request.route.component == ""
    head = messages.RequestHead(
        request.method, request.url, request.headers, request.refused if inside_app else ""
    )
    return FunctionCall(
        kind="http_action",
        path=request.route.name,
        args=msgspec.msgpack.encode(head),
        identity=request.identity if inside_app else identity.ANONYMOUS,
        request_id=request.request_id,
        origin="httpEndpoint",
        component=request.route.component,
        public_only=False,
        client=request.client,
        session_id=session_id_in(dict(request.headers).get(session_header)),
        trace=parse_traceparent(dict(request.headers).get("traceparent")),
    )


def _trace_of(action: FunctionCall, execution_id: str, out: messages.CallOut) -> TraceContext:
    """Where in the trace a call of this action's is."""
    within = action.trace
    return TraceContext(
        within.trace_id,
        out.span_id or span_id_of(execution_id),
        bool(out.span_id),
        awaited=True,
        hops=within.hops,
        user_id=within.user_id if out.user_id is None else out.user_id,
    )


def _caller_of(job: JobRef | None) -> JobRef | None:
    """The job as those see it that it calls."""
    return None if job is None else msgspec.structs.replace(job, itself=False)
