"""Which trace a run belongs to.

Owns the trace id of a request that came without one. Never draws at random and keeps nothing. One
invariant: whoever knows a request's id knows its trace, so that log lines, errors and spans of one
request meet without passing anything on.
"""

from __future__ import annotations

from hashlib import blake2b


def trace_id_of(request_id: str) -> str:
    """The trace id of a request: 32 hexadecimal digits, the same for the same request.

    A call that came with a `traceparent` has the trace of that instead.

    >>> trace_id_of("a1b2c3d4e5f60718")
    'b1e7cde893efc62d38832d7e07c7291e'
    """
    return blake2b(request_id.encode(), digest_size=16).hexdigest()
