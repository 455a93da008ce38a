"""How a value failed to match, in Convex's words.

Owns the six texts. Never adds the prefix `ArgumentValidationError: ` or `ReturnsValidationError: `:
the caller knows which it is. One invariant: a text is only built when somebody reads it, because
unions try and discard failures all the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyconvex.values.errors import Located
from pyconvex.values.validators.base import Validator
from pyconvex.values.validators.display import show


class ValidationFailed(Located):
    """A value does not match a validator; `str()` is Convex's text, `path` says where."""

    def __init__(self, value: object, validator: Validator) -> None:
        super().__init__()
        self.value = value
        self.validator = validator

    def _context(self) -> str:
        return f"Path: {self.path}" if self._reversed_path else ""


class NoMatch(ValidationFailed):
    """The value is of another type; `note` says what the printed validator can't."""

    def __init__(self, value: object, validator: Validator, note: str = "") -> None:
        super().__init__(value, validator)
        self.note = note

    def __str__(self) -> str:
        return (
            f"Value does not match validator.\n{self._context()}\n"
            f"Value: {show(self.value)}\nValidator: {self.validator.describe()}{self.note}"
        )


class MissingField(ValidationFailed):
    """An object lacks a field."""

    def __init__(self, value: Mapping[str, Any], field: str, validator: Validator) -> None:
        super().__init__(value, validator)
        self.field = field

    def __str__(self) -> str:
        return (
            f"Object is missing the required field `{self.field}`. Consider wrapping the field "
            f"validator in `v.optional(...)` if this is expected.\n{self._context()}\n"
            f"Object: {show(self.value)}\nValidator: {self.validator.describe()}"
        )


class ExtraField(ValidationFailed):
    """An object has a field that nobody declared."""

    def __init__(self, value: Mapping[str, Any], field: str, validator: Validator) -> None:
        super().__init__(value, validator)
        self.field = field

    def __str__(self) -> str:
        return (
            f"Object contains extra field `{self.field}` that is not in the validator.\n"
            f"{self._context()}\n"
            f"Object: {show(self.value)}\nValidator: {self.validator.describe()}"
        )


class WrongLiteral(ValidationFailed):
    """The value is not the one literal."""

    def __str__(self) -> str:
        return (
            f"`{show(self.value)}` does not match literal validator "
            f"`{self.validator.describe()}`.{self._context()}"
        )


class WrongTable(ValidationFailed):
    """The value is an id of another table, of which `found` is the name."""

    def __init__(self, value: str, found: str, validator: Validator) -> None:
        super().__init__(value, validator)
        self.found = found

    def __str__(self) -> str:
        table = "a system table" if self.found.startswith("_") else f"table `{self.found}`"
        return (
            f'Found ID "{self.value}" from {table}, which does not match the table name in '
            f"validator `{self.validator.describe()}`.{self._context()}"
        )
