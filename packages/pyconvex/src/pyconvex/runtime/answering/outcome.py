"""From how a run ended to what its caller gets.

Owns that step alone, and has the end of a run without an outcome recorded. Never decodes a result.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyconvex.runlog import LogLine
from pyconvex.runlog.traces import SPAN
from pyconvex.runtime.answering.reports import RunReports, id_of_error
from pyconvex.runtime.calls import Failure, FunctionCall, HostError, Outcome, Success
from pyconvex.runtime.isolates.runs import IsolateGoneError, Run, RunStoppedError
from pyconvex.runtime.processes import messages


def outcome_of(finished: messages.Finished, ts: int, told: Sequence[LogLine] = ()) -> Outcome:
    """What a caller gets, the lines that were told before included."""
    lines = (*(line.as_client() for line in told), *finished.log_lines)
    items = finished.report.items
    traced = bool(items) and any(item.kind == SPAN for item in items)
    if finished.value is None:
        return Failure(
            finished.error, finished.data, lines, id_of_error(finished.report), traced=traced
        )
    return Success(finished.value, lines, ts, traced)


async def outcome_of_lost(
    reports: RunReports,
    call: FunctionCall,
    gone: IsolateGoneError,
    began_ms: float,
    action: Run | None = None,
) -> Failure:
    """What the caller of a mutation or action gets whose isolate is gone, once that is recorded.

    Raises `HostError` when it is the server that stops.
    """
    told, count = ((), 0) if action is None else (action.told, action.told_count)
    record = reports.lost(call, gone, began_ms=began_ms, told=count)
    await reports.keep(record)
    refuse_stopped(gone)
    lines = tuple(line.as_client() for line in (*told, *gone.report.lines))
    return Failure(str(gone), None, lines, id_of_error(record.report), lost=gone.lost)


def refuse_stopped(gone: IsolateGoneError) -> None:
    """Raises `HostError` for a run that ended because the server stops: it may be tried again."""
    if isinstance(gone, RunStoppedError):
        raise HostError(503, "ServerStopping", str(gone))
