"""Header fields of a request or response.

Owns their names' indifference to case, repeated fields, and what may stand in them. Never says what
a field means. One invariant: what a `Headers` holds can be sent as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

#: Header fields as a program gives them: by name, with one value or several, or as pairs.
HeaderFields: TypeAlias = Mapping[str, str | Sequence[str]] | Iterable[tuple[str, str]]

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_UNSENDABLE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")


class Headers(Mapping[str, str]):
    """Header fields by name, whatever its case. Raises `ValueError` for what can't be sent.

    >>> headers = Headers({"Content-Type": "text/html", "Set-Cookie": ["a=1", "b=2"]})
    >>> headers["content-type"], headers.get("accept"), "SET-COOKIE" in headers
    ('text/html', None, True)
    >>> headers.get_all("set-cookie")
    ['a=1', 'b=2']
    """

    def __init__(self, fields: HeaderFields = ()) -> None:
        self._fields: dict[str, list[str]] = {}
        for name, value in _pairs(fields):
            _check(name, value)
            self._fields.setdefault(name.lower(), []).append(value)

    @classmethod
    def received(cls, pairs: Iterable[tuple[str, str]]) -> Headers:
        """What a client has sent, which nobody sends on as it is: taken without a check."""
        headers = cls()
        for name, value in pairs:
            headers._fields.setdefault(name.lower(), []).append(value)
        return headers

    def __getitem__(self, name: str) -> str:
        """The field's value; the values of a repeated one, with commas between them."""
        return ", ".join(self._fields[name.lower()])

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def get_all(self, name: str) -> list[str]:
        """All values of a field that may be there several times."""
        return list(self._fields.get(name.lower(), ()))

    def pairs(self) -> list[tuple[str, str]]:
        """Every field with its name in lower case, repeated ones several times."""
        return [(name, value) for name, values in self._fields.items() for value in values]

    def __repr__(self) -> str:
        return f"Headers({self.pairs()!r})"


def _pairs(fields: HeaderFields) -> Iterator[tuple[str, str]]:
    if isinstance(fields, Headers):
        yield from fields.pairs()
    elif isinstance(fields, Mapping):
        for name, values in fields.items():
            for value in [values] if isinstance(values, str) else values:
                yield name, value
    else:
        yield from fields


def _check(name: str, value: str) -> None:
    if not isinstance(value, str):
        raise TypeError(f"The value of header {name!r} must be a string, not {value!r}.")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no valid name of a header.")
    if found := _UNSENDABLE.search(value):
        raise ValueError(
            f"Header {name!r} holds {found[0]!r}, which a header can't carry: encode the value, "
            "for example with urllib.parse.quote."
        )
