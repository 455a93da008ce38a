"""Ada's next payment fails: the error arrives with what somebody would want to know of it."""

from __future__ import annotations

import time
from typing import Any

from demo.failure import DemoError
from demo.processes import PATIENCE_S
from demo.steps.browse import PRODUCT
from demo.visit import Visit

#: Between two looks whether a line has come, in seconds.
_PAUSE_S = 0.1


def run(visit: Visit) -> str:
    visit.visitor.put_into_cart(PRODUCT)
    said = visit.visitor.fail_to_pay("declined")
    visit.expects_of_page("$pageview", "$pageview", "$pageview")
    # The Convex client writes the line and the error there.
    visit.expects_of_page("console", "console")
    visit.expects("added_to_cart", "log", "$exception")
    if visit.receiver.local is None:
        return f"Her next payment fails: “{said}”"
    error = visit.arrived("$exception")
    frame = _raised_in(error["properties"])
    where = f"{frame['source']}:{frame['line']}"
    return (
        f"Her next payment fails: “{said}” The error came from {where}, {_details(error)}; "
        f"on its trace is the line “{_line_before(visit, error)}”"
    )


def _line_before(visit: Visit, error: dict[str, Any]) -> str:
    """What the function had printed: hers, and of the same trace as the error."""
    trace_id = str(error["properties"].get("$trace_id"))
    deadline = time.monotonic() + PATIENCE_S
    while not (found := visit.local.logs(trace_id=trace_id, distinct_id=visit.person)):
        if time.monotonic() > deadline:
            raise DemoError(f"No line of hers is on the trace {trace_id} of the error.")
        time.sleep(_PAUSE_S)
    return str(found[0]["body"])


def _details(error: dict[str, Any]) -> str:
    """The properties that the function has added."""
    wanted = {"reason": "card_declined", "card": "declined", "amount": 100}
    found = {name: error["properties"].get(name) for name in wanted}
    if found != wanted:
        raise DemoError(f"The exception should have {wanted}, but it has {found}.")
    return "with " + ", ".join(f"{name} {value}" for name, value in found.items())


def _raised_in(properties: dict[str, Any]) -> dict[str, Any]:
    """The frame that raised it, with its line of source."""
    frames = properties["$exception_list"][0]["stacktrace"]["frames"]
    for frame in frames:
        if "raise PaymentError" in (frame.get("context_line") or ""):
            return dict(frame)
    raise DemoError(f"No frame of the exception shows the line that raised it: {frames}")
