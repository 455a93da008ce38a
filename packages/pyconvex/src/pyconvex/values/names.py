"""What may be a name.

Owns the rules for field names of objects and for identifiers (tables, indexes, exports, declared
fields). Never knows what exists. One invariant: every identifier is a field name too.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from pyconvex.values.errors import InvalidName
from pyconvex.values.limits import MAX_FIELD_NAME_LENGTH, MAX_IDENTIFIER_LENGTH

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Names that were found valid before: one set test an object instead of a test a name. Bounded,
# because records have data as names.
_known: set[str] = set()
_KNOWN_MAX = 8192
_KNOWN_LENGTH_MAX = 64


def check_field_names(names: Collection[object]) -> None:
    """Refuse names that an object's fields can't have, with `InvalidName`.

    Field names are printable ASCII, at most 1024 characters, and don't start with `$`; the empty
    name is one.

    >>> check_field_names({"name": 1, "first name": 2, "": 3})
    >>> check_field_names({"$ref": 1})
    Traceback (most recent call last):
    ...
    pyconvex.values.errors.InvalidName: Field name $ref starts with '$', which is reserved.
    """
    if _known.issuperset(names):
        return
    for name in names:
        if not isinstance(name, str):
            raise InvalidName(f"Field name {name!r} is of type {type(name).__name__}, not str")
        _check_field_name(name)
        if len(name) <= _KNOWN_LENGTH_MAX and len(_known) < _KNOWN_MAX:
            _known.add(str.__str__(name))


def check_identifier(name: str) -> None:
    """Refuse, with `InvalidName`, what can't name a table, index, export or declared field.

    Identifiers are ASCII letters, digits and underscores, at most 64, with no leading digit and not
    underscores alone.

    >>> check_identifier("by_email")
    >>> check_identifier("2fa")
    Traceback (most recent call last):
    ...
    pyconvex.values.errors.InvalidName: Invalid first character '2' in 2fa: Identifiers must ...
    """
    if not name:
        raise InvalidName("Identifier cannot be empty")
    if not _IDENTIFIER.match(name):
        raise InvalidName(
            f"Invalid first character {name[0]!a} in {_ascii(name)}: "
            "Identifiers must start with an alphabetic character or underscore"
        )
    if not _IDENTIFIER.fullmatch(name):
        bad = next(char for char in name if not _IDENTIFIER.fullmatch(f"_{char}"))
        raise InvalidName(
            f"Identifier {_ascii(name)} has invalid character {bad!a}: "
            "Identifiers can only contain alphanumeric characters or underscores"
        )
    if len(name) > MAX_IDENTIFIER_LENGTH:
        raise InvalidName(f"Identifier is too long ({len(name)} > maximum {MAX_IDENTIFIER_LENGTH})")
    if not name.strip("_"):
        raise InvalidName(f"Identifier {name} cannot have exclusively underscores")


def _check_field_name(name: str) -> None:
    if name.startswith("$"):
        raise InvalidName(f"Field name {_ascii(name)} starts with '$', which is reserved")
    if not (name.isascii() and name.isprintable()):
        bad = next(char for char in name if not " " <= char <= "~")
        raise InvalidName(
            f"Field name {_ascii(name)} has invalid character {bad!a}: "
            "Field names can only contain non-control ASCII characters"
        )
    if len(name) > MAX_FIELD_NAME_LENGTH:
        raise InvalidName(f"Field name is too long ({len(name)} > maximum {MAX_FIELD_NAME_LENGTH})")


def _ascii(name: str) -> str:
    return ascii(name)[1:-1]
