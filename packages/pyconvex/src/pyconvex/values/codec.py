"""Values to JSON and back.

Owns the names under which the house encodes and decodes: Convex's tagged encoding (lossless, used
on every socket and on disk) and its two readable output formats. Never decides what a function
accepts: validators do. One invariant: `decode(encode(value))` is `value` in canonical form, and
equal values encode to equal bytes.

A tag is an object with one key: `$integer`, `$float` (NaN, infinities, -0) and `$bytes`, each in
base 64, little endian. Every other number is a float and is written with a fraction or exponent.

In documents that are not committed yet, and nowhere else, `$commitTs` stands for the timestamp of
the commit: `encode_pending`, `decode_pending`, and `settle` once it is known.
"""

from __future__ import annotations

from pyconvex.values.decoding import decode, decode_pending
from pyconvex.values.encoding import encode, encode_as, encode_pending, is_pending, settle

__all__ = [
    "decode",
    "decode_pending",
    "encode",
    "encode_as",
    "encode_pending",
    "is_pending",
    "settle",
]
