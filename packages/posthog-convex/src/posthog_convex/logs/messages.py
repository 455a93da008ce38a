"""A line as it was printed.

Owns undoing how Convex shows a text that a function prints: in quotes, with escapes. Never touches
what is more than one text. One invariant: whatever is not surely one quoted text stays as it is.
"""

from __future__ import annotations

import re

#: One text in single quotes, in which quotes and backslashes are escaped.
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL)
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_CONTROL = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


def as_printed(message: str) -> str:
    r"""The text of a line that is one text; other lines as they came.

    >>> as_printed(r"'it\'s on'"), as_printed("'a' 'b'"), as_printed("{ a: 1 }")
    ("it's on", "'a' 'b'", '{ a: 1 }')
    """
    found = _QUOTED.fullmatch(message)
    return message if found is None else _ESCAPE.sub(_meant, found[1])


def _meant(escape: re.Match[str]) -> str:
    what = escape[1]
    if len(what) == 3:
        return chr(int(what[1:], 16))
    return _CONTROL.get(what, what)
