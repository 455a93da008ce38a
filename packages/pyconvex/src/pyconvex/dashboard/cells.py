"""Values as pages show them, with Convex's types.

Owns that form. Never shortens anything: templates do. One invariant: a value's type can be told
from what is shown, so the text `3`, the number 3 and the Int64 3 look different.
"""

from __future__ import annotations

import base64
import re

import msgspec

from pyconvex.values import Int64, InvalidValue, codec

#: How people write an Int64, as JavaScript does.
_INT64 = re.compile(r"(-?\d+)n\Z")


class Cell(msgspec.Struct, frozen=True):
    """A value, ready for a page: its text, and the word for its type."""

    text: str
    type: str


def cell(value: object) -> Cell:
    """A value as a table shows it.

    >>> cell("3"), cell(3.0), cell(Int64(3))
    (Cell(text='3', type='string'), Cell(text='3', type='number'), Cell(text='3n', type='int64'))
    >>> cell({"n": 3.5}), cell(None), cell(b"hi")
    (Cell(text='{"n":3.5}', type='object'), Cell(text='null', type='null'), \
Cell(text='aGk=', type='bytes'))
    """
    match value:
        case str():
            return Cell(value, "string")
        case None:
            return Cell("null", "null")
        case bool():
            return Cell("true" if value else "false", "boolean")
        case Int64():
            return Cell(f"{int(value)}n", "int64")
        case float() if value.is_integer() and abs(value) < 2**53:
            return Cell(f"{value:.0f}", "number")
        case float():
            return Cell(repr(value), "number")
        case bytes():
            return Cell(base64.b64encode(value).decode(), "bytes")
        case list():
            return Cell(codec.encode_as(value, "export_json").decode(), "array")
        case _:
            return Cell(codec.encode_as(value, "export_json").decode(), "object")


def whole(value: object) -> str:
    """A value as indented JSON in Convex's tagged encoding, which arguments take as well.

    >>> whole({"n": Int64(1)})
    '{\\n  "n": {\\n    "$integer": "AQAAAAAAAAA="\\n  }\\n}'
    """
    return msgspec.json.format(codec.encode(value), indent=2).decode()


def value_of(text: str) -> object:
    """The value that somebody meant: JSON, `5n` for an Int64, else the text as it is.

    >>> value_of("5"), value_of("5n"), value_of('"5"'), value_of("Ada"), value_of("true")
    (5.0, Int64(5), '5', 'Ada', True)
    """
    if (number := _INT64.match(text)) is not None:
        try:
            return Int64(int(number[1]))
        except (InvalidValue, ValueError):
            return text
    try:
        return codec.decode(text)
    except InvalidValue:
        return text
