"""What can be wrong with a value, as exceptions.

Owns the exceptions of this room, all `ValueError`s. Never decides what is wrong. One invariant: an
error about a part of a value says where that part is, as `.field[index]`.
"""

from __future__ import annotations


class Located(ValueError):
    """An error that learns, while it travels up, where in a value it happened."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self._reversed_path: list[str] = []

    @property
    def path(self) -> str:
        """Where the offending part is, such as `.tags[1]`; empty for the whole value."""
        return "".join(reversed(self._reversed_path))

    def inside(self, segment: str) -> None:
        """Note that what is known so far happened inside `segment`."""
        self._reversed_path.append(segment)


class InvalidValue(Located):
    """A Python object is no Convex value, or a value breaks a limit.

    >>> from pyconvex.values import codec
    >>> codec.encode({"tags": ["a", {1, 2}]})
    Traceback (most recent call last):
    ...
    pyconvex.values.errors.InvalidValue: set is not a Convex type (at .tags[1]). Use ...
    """

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(reason, advice)
        self.reason = reason
        self.advice = advice

    def __str__(self) -> str:
        where = f" (at {self.path})" if self._reversed_path else ""
        text = f"{self.reason}{where}."
        return f"{text} {self.advice}" if self.advice else text


class MalformedJson(InvalidValue):
    """Text that should be a value in Convex's JSON encoding is not."""


class InvalidName(InvalidValue):
    """A field, table, index or export can't have this name."""


class UnknownFormat(ValueError):
    """An output format that nobody defined; the edges answer it with code `BadFormat`."""


class InvalidId(ValueError):
    """A string that is no document id."""


class InvalidValidator(ValueError):
    """A validator that can't be, such as a record with optional values."""
