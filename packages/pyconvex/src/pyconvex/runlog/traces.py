"""Which trace a run belongs to, and which span of it the run is.

Owns these ids and the form in which they pass between systems, W3C's `traceparent`. Never draws at
random and keeps nothing. One invariant: whoever knows a request's and an execution's id knows its
trace and its span, so that log lines, errors and spans meet without passing anything on.
"""

from __future__ import annotations

import re
from hashlib import blake2b

import msgspec

#: The kind of report items that hold a span each: OTLP's JSON, as bytes.
SPAN = "otel.span"

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z")


class TraceContext(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """Where in which trace something was called.

    Without a `trace_id` the request's own holds; without a `span_id` the call is at the top of its
    trace, or below the execution that made it.
    """

    trace_id: str = ""
    span_id: str = ""
    #: True when whoever called keeps spans of this trace, and so wants those of what it called.
    wanted: bool = False
    #: True when whoever called waits, and can still become a span of the trace itself.
    awaited: bool = False
    #: How many functions scheduled one another since the trace began.
    hops: int = 0
    #: Whose trace it is, for reports of runs that know nobody; never who calls.
    user_id: str | None = None

    def traceparent(self) -> str:
        """As a header tells it.

        >>> TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331").traceparent()
        '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
        """
        return f"00-{self.trace_id}-{self.span_id}-01"


#: Of a call that came with none.
NO_TRACE = TraceContext()
#: A function that schedules itself again and again would make one trace of all its life: after so
#: many steps the next one begins a trace of its own.
MAX_HOPS = 10


def trace_id_of(request_id: str) -> str:
    """The trace id of a request: 32 hexadecimal digits, the same for the same request.

    A call that came with a `traceparent` has the trace of that instead.

    >>> trace_id_of("a1b2c3d4e5f60718")
    'b1e7cde893efc62d38832d7e07c7291e'
    """
    return blake2b(request_id.encode(), digest_size=16).hexdigest()


def span_id_of(execution_id: str, call: int = 0) -> str:
    """The span id of an execution, or of the nth call that it made within itself.

    >>> span_id_of("7c9e6679-7425-40de-944b-e07fc1f90ae7")
    '123d14f8e76b3240'
    """
    name = f"{execution_id}:{call}" if call else execution_id
    return blake2b(name.encode(), digest_size=8).hexdigest()


def parse_traceparent(header: str | None) -> TraceContext:
    """What a `traceparent` header says; `NO_TRACE` for none, and for what is not one.

    >>> parse_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").span_id
    'b7ad6b7169203331'
    >>> parse_traceparent("00-00000000000000000000000000000000-b7ad6b7169203331-01") == NO_TRACE
    True
    """
    match = _TRACEPARENT.match(header.strip()) if header else None
    if match is None or not match[1].strip("0") or not match[2].strip("0"):
        return NO_TRACE
    return TraceContext(match[1], match[2])


def scheduled(within: TraceContext) -> str:
    """What is kept with a function that was scheduled here, for when it runs.

    >>> kept = scheduled(TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", True))
    >>> kept
    '["0af7651916cd43dd8448eb211c80319c","b7ad6b7169203331",true,false,1,null]'
    >>> of_schedule(kept).hops, of_schedule("") == NO_TRACE
    (1, True)
    """
    if within.hops >= MAX_HOPS:
        return ""
    later = msgspec.structs.replace(within, hops=within.hops + 1, awaited=False)
    return msgspec.json.encode(later).decode()


def of_schedule(kept: str) -> TraceContext:
    """Where a scheduled function runs in which trace."""
    return msgspec.json.decode(kept, type=TraceContext) if kept else NO_TRACE
