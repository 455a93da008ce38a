"""From how a run ended to what its caller gets.

Owns that step alone. Never decodes a result.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyconvex.runlog import LogLine
from pyconvex.runlog.traces import SPAN
from pyconvex.runtime.answering.reports import id_of_error
from pyconvex.runtime.calls import Failure, Outcome, Success
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
