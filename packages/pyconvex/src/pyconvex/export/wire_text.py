"""Stored documents as the text of an export.

Owns the three formats of `values.codec.encode_as`, made from a document's stored bytes without
decoding it. Never decodes more than the names of fields. One invariant: the text is what
`encode_as` writes for the decoded document.

Stored bytes are tagged JSON. A tag can be told by its first characters alone: in a string a quote
is escaped, and no field's name begins with `$`.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from functools import lru_cache

import msgspec

from pyconvex.export.refusal import ExportRefused
from pyconvex.export.selection import Columns
from pyconvex.values import ids
from pyconvex.values.encoding import FLOAT64_LAYOUT, INT64_LAYOUT

Rewrite = Callable[[bytes], bytes]

_TAG = b'{"$'
_INTEGER = b'{"$integer":"'
#: Of the base 64 of an Int64, and with what closes the tag behind it.
_DIGITS, _DIGITS_AND_END = 12, 14
_NEGATIVE_ZERO = b'{"$float":"AAAAAAAAAIA="}'
_ANY_TAG = re.compile(rb'\{"\$(integer|float|bytes)":"([A-Za-z0-9+/=]*)"\}')
_CLEAN_NAMES = {"nan": b'"NaN"', "inf": b'"Infinity"', "-inf": b'"-Infinity"'}
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def as_stored(doc: bytes) -> bytes:
    """`convex_encoded_json`: every tag stays."""
    return doc


def as_export(doc: bytes) -> bytes:
    """`export_json`: an Int64 is a bare integer, -0 a number; other tags stay.

    >>> as_export(b'{"n":{"$integer":"BwAAAAAAAAA="},"s":"{\\\\"$integer"}')
    b'{"n":7,"s":"{\\\\"$integer"}'
    """
    if _TAG not in doc:
        return doc
    if _INTEGER in doc:
        first, *rest = doc.split(_INTEGER)
        doc = first + b"".join([_with_integer(part) for part in rest])
    return doc.replace(_NEGATIVE_ZERO, b"-0.0")


def as_clean(doc: bytes) -> bytes:
    """`json`: readable and lossy.

    >>> as_clean(b'{"b":{"$bytes":"aGk="},"n":{"$integer":"BwAAAAAAAAA="}}')
    b'{"b":"aGk=","n":"7"}'
    """
    return doc if _TAG not in doc else _ANY_TAG.sub(_clean, doc)


_FORMATS: dict[str, Rewrite] = {
    "json": as_clean,
    "convex_clean_json": as_clean,
    "convex_encoded_json": as_stored,
    "convex_json": as_stored,
    "export_json": as_export,
}


def rewrite_for(format: str) -> Rewrite:
    """How stored bytes become text of this format. Raises `ExportRefused`."""
    rewrite = _FORMATS.get(format)
    if rewrite is None:
        known = ", ".join(f"`{name}`" for name in _FORMATS)
        raise ExportRefused("BadFormat", f"format param must be one of {known}. Got {format}")
    return rewrite


def project(doc: bytes, columns: Columns) -> bytes:
    """The document with its selected fields, as they are stored."""
    kept = [
        quoted(name) + b":" + bytes(text)
        for name, text in _fields(doc).items()
        if columns.selects(name)
    ]
    return b"{" + b",".join(kept) + b"}"


def only_id(table_number: int, id: bytes) -> bytes:
    """What is told of a document that was deleted."""
    return b'{"_id":"' + ids.encode_id(table_number, id).encode() + b'"}'


@lru_cache(maxsize=8192)
def quoted(text: str) -> bytes:
    """A string as JSON."""
    return msgspec.json.encode(text)


def _with_integer(part: bytes) -> bytes:
    """What came behind the beginning of an Int64's tag, with the number itself."""
    [number] = INT64_LAYOUT.unpack(binascii.a2b_base64(part[:_DIGITS]))
    return b"%d%b" % (number, part[_DIGITS_AND_END:])


def _clean(found: re.Match[bytes]) -> bytes:
    kind, text = found[1], found[2]
    if kind == b"bytes":
        return b'"' + text + b'"'
    raw = binascii.a2b_base64(text)
    if kind == b"integer":
        return b'"%d"' % INT64_LAYOUT.unpack(raw)[0]
    [number] = FLOAT64_LAYOUT.unpack(raw)
    return b"-0.0" if number == 0 else _CLEAN_NAMES[str(number)]
