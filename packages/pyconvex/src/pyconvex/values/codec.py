"""Values to JSON and back.

Owns the names under which the house encodes and decodes: Convex's tagged encoding (lossless, used
on every socket and on disk) and its two readable output formats. Never decides what a function
accepts: validators do. One invariant: `decode(encode(value))` is `value` in canonical form, and
equal values encode to equal bytes.

A tag is an object with one key: `$integer`, `$float` (NaN, infinities, -0) and `$bytes`, each in
base 64, little endian. Every other number is a float and is written with a fraction or exponent.
"""

from __future__ import annotations

from pyconvex.values.decoding import decode
from pyconvex.values.encoding import encode, encode_as

__all__ = ["decode", "encode", "encode_as"]
