"""From how a run ended to what its caller gets.

Owns that step alone, and has the end of a run without an outcome recorded. Never decodes a result.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyconvex.runlog import LogLine
from pyconvex.runlog.traces import SPAN
from pyconvex.runtime.answering.reports import RunReports, id_of_error
from pyconvex.runtime.calls import Failure, FunctionCall, Outcome, Success
from pyconvex.runtime.isolates.runs import IsolateGoneError, Run
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
    """What the caller of a mutation or action gets whose isolate is gone, once that is recorded."""
    record = reports.lost(call, str(gone), began_ms=began_ms, action=action)
    await reports.keep(record)
    told = () if action is None else tuple(line.as_client() for line in action.told)
    return Failure(str(gone), None, told, id_of_error(record.report), lost=gone.lost)
