"""Type hints as validators.

Owns the translation of annotations into the validators that check arguments, returns and documents.
Never evaluates a handler. One invariant: a hint and the explicit `v` form that says the same
compile to equal validator JSON.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin

from pyconvex.functions.documents import Document
from pyconvex.functions.errors import DefinitionError
from pyconvex.functions.pagination import (
    PAGINATION_OPTS,
    PaginationOptions,
    PaginationOptionsValidator,
    PaginationResult,
    PaginationResultValidator,
)
from pyconvex.functions.references import FunctionHandle
from pyconvex.values import (
    CommitTs,
    Id,
    Int64,
    InvalidValidator,
    PendingCommitTs,
    TableNumbers,
    Validator,
    Value,
    v,
)
from pyconvex.values.validators import ObjectValidator


@dataclasses.dataclass(frozen=True, slots=True)
class Arg:
    """Sets an argument's name on the wire: `Annotated[str, Arg("refreshToken")]`."""

    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a function: its Python name, its wire name and what it accepts."""

    name: str
    wire_name: str
    validator: Validator
    #: True when Python has a default, so the caller may leave it out.
    optional: bool


@dataclasses.dataclass(frozen=True, slots=True)
class DocumentValidator(ObjectValidator):
    """A stored document of one table, which Python code gets as an instance of its class."""

    document: type[Document]

    @classmethod
    def of_class(cls, document: type[Document]) -> DocumentValidator:
        """The validator of `document`'s instances once they are stored."""
        system = {"_id": v.id(document.table), "_creationTime": v.float64()}
        return cls(v.object({**system, **document_fields(document)}).entries, document)

    def check(self, value: Any, tables: TableNumbers) -> Value:
        fields = value.to_fields() if isinstance(value, Document) else value
        # By name, because a dataclass with slots is made anew and `super()` would miss it.
        checked: Any = ObjectValidator.check(self, fields, tables)
        instance: Any = self.document.from_fields(dict(checked))
        return instance  # type: ignore[no-any-return]  # a Value to validators, an object to handlers


_SIMPLE: dict[Any, Callable[[], Validator]] = {
    type(None): v.null,
    None: v.null,
    bool: v.boolean,
    int: v.int,
    float: v.float64,
    Int64: v.int64,
    CommitTs: v.commit_ts,
    str: v.string,
    bytes: v.bytes,
    FunctionHandle: v.string,
    Any: v.any,
    object: v.any,
    dict: lambda: v.record(v.string(), v.any()),
    list: lambda: v.array(v.any()),
    inspect.Parameter.empty: v.any,
    PaginationOptions: PaginationOptionsValidator.make,
    PaginationResult: lambda: PaginationResultValidator.of_items(v.any()),
}


def validator_of(hint: Any, where: str) -> Validator:
    """The validator that accepts what `hint` describes; `where` names the place in errors."""
    try:
        return _validator_of(hint, where)
    except InvalidValidator as error:
        raise DefinitionError(f"{where}: {error}") from None


def _validator_of(hint: Any, where: str) -> Validator:
    if isinstance(hint, Validator):
        return hint
    if isinstance(hint, typing.Hashable) and hint in _SIMPLE:
        return _SIMPLE[hint]()
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        explicit = [extra for extra in args[1:] if isinstance(extra, Validator)]
        return explicit[0] if explicit else validator_of(args[0], where)
    if origin in (Union, types.UnionType):
        if _is_value(args):
            return v.any()
        return v.union(*(validator_of(arm, where) for arm in _arms(args)))
    if origin is Literal:
        return _literal(args)
    if origin is Id or hint is Id:
        return v.id(_table_name(args, where)) if args else v.string()
    if origin is PaginationResult:
        return PaginationResultValidator.of_items(validator_of(args[0], where))
    if origin in (list, Sequence):
        return v.array(validator_of(args[0], where))
    if origin in (dict, Mapping):
        return v.record(validator_of(args[0], where), validator_of(args[1], where))
    if isinstance(hint, type):
        return _class_validator(hint, where)
    raise DefinitionError(f"{where}: {hint!r} can't be a Convex type. {_HELP}")


_HELP = (
    "Use bool, int, float, Int64, str, bytes, list, dict, Literal, a union, a TypedDict, Id or a "
    "Document, or say it with Annotated[…, v.…]."
)


def _arms(arms: tuple[Any, ...]) -> list[Any]:
    """A union's arms, with `CommitTs`, which is a union itself, as one of them."""
    if PendingCommitTs not in arms:
        return list(arms)
    return [CommitTs, *(arm for arm in arms if arm not in (Int64, PendingCommitTs))]


def _is_value(arms: Sequence[Any]) -> bool:
    """Whether a union is `Value`, whose references to itself can't be resolved here."""
    scalars = {arm for arm in get_args(Value) if isinstance(arm, type)}
    return scalars <= {arm for arm in arms if isinstance(arm, type)} and {list, dict} <= {
        get_origin(arm) for arm in arms
    }


def _literal(values: tuple[Any, ...]) -> Validator:
    arms: list[Validator] = [v.null() if x is None else v.literal(x) for x in values]
    return arms[0] if len(arms) == 1 else v.union(*arms)


def _table_name(args: tuple[Any, ...], where: str) -> str:
    (target,) = args
    if get_origin(target) is Literal:
        (name,) = get_args(target)
        return str(name)
    if isinstance(target, type) and issubclass(target, Document):
        return target.table
    raise DefinitionError(f"{where}: Id[…] takes a Document class or a table's name, not {target}")


def _class_validator(hint: type, where: str) -> Validator:
    if issubclass(hint, Document):
        return DocumentValidator.of_class(hint)
    if typing.is_typeddict(hint):
        return v.object(_typed_dict_fields(hint, where))
    raise DefinitionError(f"{where}: {hint.__name__} can't be a Convex type. {_HELP}")


def _typed_dict_fields(hint: Any, where: str) -> dict[str, Validator]:
    fields: dict[str, Validator] = {}
    for name, field in _hints(hint, where).items():
        mark = get_origin(field)
        marked = mark in (NotRequired, Required)
        # Where annotations are strings, the class itself doesn't see these marks.
        required = mark is Required if marked else name in hint.__required_keys__
        validator = validator_of(get_args(field)[0] if marked else field, f"{where}.{name}")
        fields[name] = validator if required else v.optional(validator)
    return fields


def document_fields(table: type[Document]) -> dict[str, Validator]:
    """The validators of a table class's own fields, system fields left out.

    A field with a default is optional.
    """
    where = f"table {table.table!r}"
    fields: dict[str, Validator] = {}
    for name, hint in _hints(table, where).items():
        if name.startswith("_") or get_origin(hint) is typing.ClassVar:
            continue
        if hasattr(Document, name) or name in Document.__annotations__:
            raise DefinitionError(
                f"{where}: a field can't be named {name!r}, which every Document has already. "
                "Declare this table with define_table, or name the field otherwise."
            )
        validator = validator_of(hint, f"{where}, field {name!r}")
        fields[name] = v.optional(validator) if hasattr(table, name) else validator
    return fields


def parameters_of(
    handler: Callable[..., Any],
    where: str,
    args: Mapping[str, Validator] | None = None,
    returns: Validator | None = None,
) -> tuple[list[Parameter], Validator]:
    """What a handler takes after its context, and the validator of what it returns.

    `args`, by wire name, and `returns` say it instead of the hints. Raises `DefinitionError` for
    `*args`, positional-only parameters, a missing context, or hints that can't be resolved.
    """
    explicit = dict(args or {})
    hints = _hints(handler, where)
    names = list(inspect.signature(handler).parameters.values())
    if not names:
        raise DefinitionError(f"{where}: the first parameter must be the context, such as ctx.")
    untyped = inspect.Parameter.empty
    parameters = [_parameter(p, hints.get(p.name, untyped), where, explicit) for p in names[1:]]
    _check_wire_names([p.wire_name for p in parameters], explicit, where)
    if returns is None:
        returns = validator_of(hints.get("return", untyped), f"{where} returns")
    return parameters, returns


def context_hint(handler: Callable[..., Any]) -> Any:
    """What a handler says its context is; None when it doesn't say, or can't be resolved."""
    first = next(iter(inspect.signature(handler).parameters))
    try:
        return typing.get_type_hints(handler).get(first)
    except NameError:
        return None


def _hints(target: Any, where: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(target, include_extras=True)
    except NameError as error:
        raise DefinitionError(
            f"{where}: the type hint {error.name!r} is not defined at run time. Import it outside "
            "of `if TYPE_CHECKING`, because hints are validators here."
        ) from None


def _check_wire_names(names: Sequence[str], explicit: Mapping[str, Validator], where: str) -> None:
    unknown = sorted(set(explicit) - set(names))
    if unknown:
        raise DefinitionError(f"{where}: args names {unknown}, which the handler doesn't take.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DefinitionError(f"{where}: several arguments have the wire name {twice[0]!r}.")


def _parameter(
    parameter: inspect.Parameter, hint: Any, where: str, explicit: Mapping[str, Validator]
) -> Parameter:
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise DefinitionError(
            f"{where}: parameter {parameter.name!r} must be a named parameter; "
            "clients send arguments by name."
        )
    wire_name = parameter.name
    if get_origin(hint) is Annotated:
        wire_name = next((e.name for e in get_args(hint)[1:] if isinstance(e, Arg)), wire_name)
    if _pages(hint):
        wire_name = PAGINATION_OPTS
    where = f"{where}, argument {parameter.name!r}"
    has_default = parameter.default is not parameter.empty
    given = explicit.get(wire_name)
    validator = given or validator_of(hint, where)
    if validator.is_optional and not has_default:
        raise DefinitionError(
            f"{where}: its validator lets callers leave it out, so it needs a default value."
        )
    optional = has_default if given is None else given.is_optional
    return Parameter(parameter.name, wire_name, validator, optional)


def _pages(hint: Any) -> bool:
    """Whether a parameter takes `PaginationOptions`, be it annotated or one of several types."""
    return hint is PaginationOptions or any(_pages(part) for part in get_args(hint))
