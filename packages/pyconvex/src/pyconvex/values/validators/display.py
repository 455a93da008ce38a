"""How values are printed in error texts.

Owns Convex's notation: `{name: "Ada", n: 1.0}`. Never used to store or send a value. One invariant:
any object prints, also one that is no Convex value, because it is shown in an error about that.
"""

from __future__ import annotations

from types import CoroutineType

from pyconvex.values.encoding import base64
from pyconvex.values.types import COMMIT_TS, Int64

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}


def show(value: object) -> str:
    """A value as Convex's error texts print it.

    >>> show({"n": 1, "s": 'say "hi"', "i": Int64(7), "b": b"hi", "a": [True, None]})
    '{a: [true, null], b: b"aGk=", i: 7, n: 1.0, s: "say \\\\"hi\\\\""}'
    """
    if isinstance(value, str):
        return show_string(value)
    if value is None:
        return "null"
    if value is COMMIT_TS:
        return "commitTs"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Int64):
        return str(value)
    if isinstance(value, (int, float)):
        return show_number(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f'b"{base64(bytes(value))}"'
    if isinstance(value, dict):
        fields = sorted((str(name), field) for name, field in value.items())
        return "{" + ", ".join(f"{name}: {show(field)}" for name, field in fields) + "}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(show, value))}]"
    if isinstance(value, CoroutineType):
        return f"<{value.__qualname__} without `await`>"
    return f"<{type(value).__name__}>"


def show_string(value: str) -> str:
    """A string in double quotes, with everything unprintable escaped."""
    plain = value.isascii() and value.isprintable() and '"' not in value and "\\" not in value
    return f'"{value}"' if plain else f'"{"".join(map(_show_char, value))}"'


def _show_char(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    return char if char.isprintable() else f"\\u{{{ord(char):x}}}"


def show_number(value: float) -> str:
    """A number with a fraction or exponent, as Rust prints it: `1.0`, `1e16`, `NaN`, `-inf`."""
    if isinstance(value, int) and abs(value) >= 2**63:
        return str(value)
    number = float(value)
    if number != number:
        return "NaN"
    digits, e, exponent = float.__repr__(number).partition("e")
    return f"{digits}e{int(exponent)}" if e else digits
