"""Trace ids of requests.

Owns how a request's id becomes a trace id where nobody sent one. One invariant: hosts, streams and
receivers make the same trace id of the same request, so what they tell of it joins.
"""

from __future__ import annotations

from hashlib import blake2b

#: Bytes of a trace id, by OpenTelemetry.
_SIZE = 16


def trace_id_of(request_id: str) -> str:
    """32 hexadecimal digits; "" for no request.

    >>> trace_id_of("7c9e6679-7425-40de-944b-e07fc1f90ae7")
    'fea9a21143e6ec556a27eaf34343a7df'
    """
    return blake2b(request_id.encode(), digest_size=_SIZE).hexdigest() if request_id else ""
