"""Validators of values with parts.

Owns arrays, records, objects with their optional fields, and unions. Never copies what needs no
conversion. One invariant: parts are checked in the order of their names or positions, so the first
failure, and with it the text, is the same for equal values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from pyconvex.values.errors import InvalidName, InvalidValidator
from pyconvex.values.names import check_identifier
from pyconvex.values.types import UNSET, Value
from pyconvex.values.validators.base import TableNumbers, Validator
from pyconvex.values.validators.failures import (
    ExtraField,
    MissingField,
    NoMatch,
    ValidationFailed,
)
from pyconvex.values.validators.leaves import (
    AnyValidator,
    IdValidator,
    LiteralValidator,
    NullValidator,
    StringValidator,
)

Check: TypeAlias = Callable[[Any, TableNumbers], Value]


@dataclass(frozen=True, slots=True)
class OptionalValidator(Validator):
    """`v.optional(x)`: as a field of an object, it may be absent. Null is not absent."""

    inner: Validator

    @property
    def is_optional(self) -> bool:
        return True

    def check(self, value: Any, tables: TableNumbers) -> Value:
        return self.inner.check(value, tables)

    def json(self) -> dict[str, Any]:
        return self.inner.json()

    def describe(self) -> str:
        return f"v.optional({self.inner.describe()})"


@dataclass(frozen=True, slots=True)
class ArrayValidator(Validator):
    """`v.array(x)`: a list of x. A tuple becomes a list."""

    element: Validator

    def __post_init__(self) -> None:
        _refuse_optional(self.element, "v.array()")

    def check(self, value: Any, tables: TableNumbers) -> Value:
        if not isinstance(value, (list, tuple)):
            raise NoMatch(value, self)
        check = self.element.check
        changed = type(value) is not list
        kept: list[Value] = []
        try:
            for item in value:
                checked = check(item, tables)
                kept.append(checked)
                if checked is not item:
                    changed = True
        except ValidationFailed as failure:
            failure.inside(f"[{len(kept)}]")
            raise
        return kept if changed else cast(Value, value)

    def json(self) -> dict[str, Any]:
        return {"type": "array", "value": self.element.json()}

    def describe(self) -> str:
        return f"v.array({self.element.describe()})"


@dataclass(frozen=True, slots=True)
class RecordValidator(Validator):
    """`v.record(k, x)`: an object with any names that match k, all of whose values are x."""

    keys: Validator
    values: Validator

    def __post_init__(self) -> None:
        if self.keys.is_optional:
            raise InvalidValidator("Record validator cannot have optional keys")
        if self.values.is_optional:
            raise InvalidValidator("Record validator cannot have optional values")
        if any(isinstance(arm, LiteralValidator) for arm in _arms(self.keys)):
            raise InvalidValidator("Records cannot have string literal keys")
        if not all(isinstance(arm, (StringValidator, IdValidator)) for arm in _arms(self.keys)):
            raise InvalidValidator(
                "Records can only have string keys. Your validator contains a record with key "
                f"typed as `{self.keys}`, which is not a subtype of `v.string()`"
            )

    def check(self, value: Any, tables: TableNumbers) -> Value:
        if not isinstance(value, dict):
            raise NoMatch(value, self)
        changed: dict[str, Value] | None = None
        for name in sorted(value, key=str):
            try:
                self.keys.check(name, tables)
            except ValidationFailed as failure:
                failure.inside(".keys()")
                raise
            try:
                checked = self.values.check(value[name], tables)
            except ValidationFailed as failure:
                failure.inside(".values()")
                raise
            if checked is not value[name]:
                changed = dict(value) if changed is None else changed
                changed[name] = checked
        return cast(Value, value) if changed is None else changed

    def json(self) -> dict[str, Any]:
        values = {"fieldType": self.values.json(), "optional": False}
        return {"type": "record", "keys": self.keys.json(), "values": values}

    def describe(self) -> str:
        return f"v.record({self.keys.describe()}, {self.values.describe()})"


@dataclass(frozen=True, slots=True)
class ObjectValidator(Validator):
    """`v.object({…})`: exactly these fields, optional ones possibly absent.

    >>> from pyconvex.values import v
    >>> user = v.object({"name": v.string(), "age": v.optional(v.int())})
    >>> user.pick("name").describe()
    'v.object({name: v.string()})'
    >>> user.partial().describe()
    'v.object({age: v.optional(v.float64()), name: v.optional(v.string())})'
    """

    #: Validators by name, sorted by name.
    entries: tuple[tuple[str, Validator], ...]
    _plan: tuple[tuple[str, Check, bool], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        plan = [(name, _required(x).check, x.is_optional) for name, x in self.entries]
        object.__setattr__(self, "_plan", tuple(plan))

    @classmethod
    def of(cls, fields: Mapping[str, Validator]) -> ObjectValidator:
        """The validator of objects with these fields."""
        for name, validator in fields.items():
            if not isinstance(validator, Validator):
                raise InvalidValidator(f"v.object() entries must be validators, `{name}` is not")
            try:
                check_identifier(name)
            except InvalidName as error:
                raise InvalidValidator(
                    f"v.object() can't have this field: {error.reason}"
                ) from None
        return cls(tuple(sorted(fields.items())))

    @property
    def fields(self) -> dict[str, Validator]:
        """Validators by name."""
        return dict(self.entries)

    def pick(self, *names: str) -> ObjectValidator:
        """The same with these fields only."""
        return ObjectValidator.of({name: x for name, x in self.entries if name in names})

    def omit(self, *names: str) -> ObjectValidator:
        """The same without these fields."""
        return ObjectValidator.of({name: x for name, x in self.entries if name not in names})

    def extend(self, fields: Mapping[str, Validator]) -> ObjectValidator:
        """The same with more fields; one of the same name is replaced."""
        return ObjectValidator.of({**self.fields, **fields})

    def partial(self) -> ObjectValidator:
        """The same with every field optional."""
        return ObjectValidator.of({name: optional(x) for name, x in self.entries})

    def check(self, value: Any, tables: TableNumbers) -> Value:
        if not isinstance(value, dict):
            raise NoMatch(value, self)
        changed: dict[str, Value] | None = None
        found = 0
        for name, check, is_optional in self._plan:
            item = value.get(name, UNSET)
            if item is UNSET:
                if is_optional:
                    continue
                raise MissingField(value, name, self)
            found += 1
            try:
                checked = check(item, tables)
            except ValidationFailed as failure:
                failure.inside(f".{name}")
                raise
            if checked is not item:
                changed = dict(value) if changed is None else changed
                changed[name] = checked
        if found != len(value):
            changed = self._without_unset(value, changed)
        return cast(Value, value) if changed is None else changed

    def _without_unset(
        self, value: dict[str, Any], changed: dict[str, Value] | None
    ) -> dict[str, Value]:
        """Leave out fields that are `UNSET`; every other field more than declared is refused."""
        present = {name: item for name, item in value.items() if item is not UNSET}
        extra = sorted(present.keys() - {name for name, _ in self.entries})
        if extra:
            raise ExtraField(value, extra[0], self)
        return {name: (changed or value)[name] for name in present}

    def json(self) -> dict[str, Any]:
        fields = {
            name: {"fieldType": x.json(), "optional": x.is_optional} for name, x in self.entries
        }
        return {"type": "object", "value": fields}

    def describe(self) -> str:
        fields = ", ".join(f"{name}: {x.describe()}" for name, x in self.entries)
        return f"v.object({{{fields}}})"


@dataclass(frozen=True, slots=True)
class UnionValidator(Validator):
    """`v.union(a, b, …)`: the first member that matches decides the Python form."""

    members: tuple[Validator, ...]
    # Shortcuts for what unions mostly are: nullable values and choices of words.
    _takes_none: bool = field(init=False, repr=False, compare=False)
    _words: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for member in self.members:
            if not isinstance(member, Validator):
                raise InvalidValidator("All members of v.union() must be validators")
            _refuse_optional(member, "v.union()")
        takes_none = any(isinstance(arm, (NullValidator, AnyValidator)) for arm in _arms(self))
        words = [arm.value for arm in _arms(self) if isinstance(arm, LiteralValidator)]
        object.__setattr__(self, "_takes_none", takes_none)
        object.__setattr__(self, "_words", frozenset(w for w in words if isinstance(w, str)))

    def check(self, value: Any, tables: TableNumbers) -> Value:
        if value is None and self._takes_none:
            return None
        if type(value) is str and value in self._words:
            return value
        if len(self.members) == 1:
            return self.members[0].check(value, tables)
        for member in self.members:
            try:
                return member.check(value, tables)
            except ValidationFailed:
                continue
        raise NoMatch(value, self)

    def json(self) -> dict[str, Any]:
        return {"type": "union", "value": [member.json() for member in self.members]}

    def describe(self) -> str:
        return f"v.union({', '.join(member.describe() for member in self.members)})"


def optional(validator: Validator) -> OptionalValidator:
    """The same, allowed to be absent."""
    return validator if isinstance(validator, OptionalValidator) else OptionalValidator(validator)


def _required(validator: Validator) -> Validator:
    return validator.inner if isinstance(validator, OptionalValidator) else validator


def _refuse_optional(validator: object, where: str) -> None:
    if not isinstance(validator, Validator):
        raise InvalidValidator(f"{where} takes validators, not {type(validator).__name__}")
    if validator.is_optional:
        raise InvalidValidator(
            f"{where} cannot contain v.optional(...): only a field of an object can be absent. "
            "Use v.nullable(...) for a value that may be null."
        )


def _arms(validator: Validator) -> Iterator[Validator]:
    """The members of a union, of the unions in it, and so on; another validator itself."""
    members: Iterable[Validator] = ()
    if not isinstance(validator, UnionValidator):
        yield validator
    else:
        members = validator.members
    for member in members:
        yield from _arms(member)
