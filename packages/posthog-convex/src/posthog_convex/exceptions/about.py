"""What is known of the run that an error comes from, as properties of its event.

Owns their names: Convex's own where Convex has one. Never looks at the error. One invariant: the
component, the log stream and the receiver say the same of the same run in the same words.
"""

from __future__ import annotations

from typing import Any

import msgspec

#: Characters of a `ConvexError`'s data.
MAX_DATA = 16_384


class About(msgspec.Struct, frozen=True, kw_only=True):
    """The run; what is "" or None is not known."""

    function: str = ""
    #: query, mutation, action or http_action.
    function_type: str = ""
    request_id: str = ""
    component: str | None = None
    run_reason: str | None = None
    trace_id: str = ""
    #: The span that the run is.
    span_id: str = ""
    deployment: str = ""
    deployment_type: str | None = None
    #: The data of a `ConvexError` as JSON text.
    data: str | None = None

    def properties(self) -> dict[str, Any]:
        """What goes into the event.

        >>> About(function="a:b", request_id="r1").properties()
        {'convex_function': 'a:b', 'convex_request_id': 'r1'}
        """
        named = {
            "convex_function": self.function,
            "convex_function_type": self.function_type,
            "convex_request_id": self.request_id,
            "convex_component": self.component,
            "convex_run_reason": self.run_reason,
            "convex_deployment": self.deployment,
            "convex_deployment_type": self.deployment_type,
            "convex_error_data": _data(self.data),
            "$trace_id": self.trace_id,
            "$span_id": self.span_id,
        }
        return {name: value for name, value in named.items() if value not in (None, "")}


def _data(text: str | None) -> Any:
    """The data as JSON; as text where it is too long to be looked through, or none."""
    if text is None:
        return None
    if len(text) > MAX_DATA:
        return text[:MAX_DATA] + "…"
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return text
