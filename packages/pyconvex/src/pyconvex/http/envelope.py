"""The envelope around a function's outcome, in the format that the client chose.

Owns formats and the envelope's fields. Never decodes a value that the client wants as it is. One
invariant: `errorData` is there exactly when the function threw a `ConvexError`.
"""

from __future__ import annotations

import msgspec

from pyconvex.http.exchange import RequestError
from pyconvex.runtime.calls import Outcome, Success
from pyconvex.runtime.notation import error_text
from pyconvex.values import codec

#: The formats that clients may name, and the codec's word for each.
_FORMATS = {
    "convex_encoded_json": "convex_encoded_json",
    "convex_json": "convex_encoded_json",
    "json": "json",
    "convex_clean_json": "json",
    "export_json": "export_json",
}

_encode = msgspec.json.Encoder().encode


def output_format(named: str | None, default: str = "json") -> str:
    """The codec's word for a format; raises `RequestError` (400 `BadFormat`) for one unknown."""
    if named is None:
        return default
    known = _FORMATS.get(named)
    if known is None:
        allowed = ", ".join(f"`{name}`" for name in ("json", "convex_encoded_json", "export_json"))
        raise RequestError(400, "BadFormat", f"The format must be one of {allowed}.")
    return known


def envelope(outcome: Outcome, request_id: str, format: str, *, redact: bool) -> bytes:
    """The JSON that tells a client how its function ended."""
    parts = []
    if isinstance(outcome, Success):
        parts += [b'{"status":"success","value":', _formatted(outcome.value, format)]
    else:
        message = error_text(outcome, request_id, redact=redact)
        parts += [b'{"status":"error","errorMessage":', _encode(message)]
        if outcome.data is not None:
            parts += [b',"errorData":', _formatted(outcome.data, format)]
    if outcome.log_lines and not redact:
        parts += [b',"logLines":', _encode(outcome.log_lines)]
    parts.append(b"}")
    return b"".join(parts)


def _formatted(value: bytes, format: str) -> bytes:
    if format == "convex_encoded_json":
        return value
    return codec.encode_as(codec.decode(value), format)
