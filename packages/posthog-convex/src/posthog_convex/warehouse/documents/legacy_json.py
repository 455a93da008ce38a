"""Values as older backends write them losslessly, rewritten the way newer ones do.

Owns `convex_encoded_json` to `export_json`. Never touches a value's meaning: int64 becomes a plain
integer, every other number gets a dot or an exponent, NaN and the infinities stay tagged.
"""

from __future__ import annotations

import base64
import math
import struct
from typing import Any

import msgspec


def exported(document: bytes) -> bytes:
    """The same document in `export_json`.

    >>> exported(b'{"n": {"$integer": "BQAAAAAAAAA="}, "f": 1}')
    b'{"n":5,"f":1.0}'
    """
    return msgspec.json.encode(_value(msgspec.json.decode(document)))


def _value(value: Any) -> Any:
    match value:
        case {"$integer": str(packed), **rest} if not rest:
            return struct.unpack("<q", base64.b64decode(packed))[0]
        case {"$float": str(packed), **rest} if not rest:
            number = struct.unpack("<d", base64.b64decode(packed))[0]
            return value if math.isnan(number) or math.isinf(number) else number
        case dict():
            return {name: _value(item) for name, item in value.items()}
        case list():
            return [_value(item) for item in value]
        case bool():
            return value
        case int():
            return float(value)
        case _:
            return value
