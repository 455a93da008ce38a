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
from pyconvex.values import Id, Int64, Validator, v


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


_SIMPLE: dict[Any, Callable[[], Validator]] = {
    type(None): v.null,
    None: v.null,
    bool: v.boolean,
    int: v.int,
    float: v.float64,
    Int64: v.int64,
    str: v.string,
    bytes: v.bytes,
    Any: v.any,
    object: v.any,
    dict: v.any,
    list: v.any,
    inspect.Parameter.empty: v.any,
}


def validator_of(hint: Any, where: str) -> Validator:
    """The validator that accepts what `hint` describes; `where` names the place in errors."""
    if isinstance(hint, Validator):
        return hint
    if isinstance(hint, typing.Hashable) and hint in _SIMPLE:
        return _SIMPLE[hint]()
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        explicit = [extra for extra in args[1:] if isinstance(extra, Validator)]
        return explicit[0] if explicit else validator_of(args[0], where)
    if origin in (Union, types.UnionType):
        return v.union(*(validator_of(arm, where) for arm in args))
    if origin is Literal:
        return _literal(args)
    if origin is Id or hint is Id:
        return v.id(_table_name(args, where)) if args else v.string()
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


def _literal(values: tuple[Any, ...]) -> Validator:
    arms = [v.literal(value) for value in values]
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
        fields = document_fields(hint)
        return v.object({"_id": v.id(hint.table), "_creationTime": v.float64(), **fields})
    if typing.is_typeddict(hint):
        return v.object(_typed_dict_fields(hint, where))
    raise DefinitionError(f"{where}: {hint.__name__} can't be a Convex type. {_HELP}")


def _typed_dict_fields(hint: Any, where: str) -> dict[str, Validator]:
    fields: dict[str, Validator] = {}
    for name, field in typing.get_type_hints(hint, include_extras=True).items():
        bare = get_args(field)[0] if get_origin(field) in (NotRequired, Required) else field
        validator = validator_of(bare, f"{where}.{name}")
        fields[name] = validator if name in hint.__required_keys__ else v.optional(validator)
    return fields


def document_fields(table: type[Document]) -> dict[str, Validator]:
    """The validators of a table class's own fields, system fields left out.

    A field with a default is optional.
    """
    where = f"table {table.table!r}"
    fields: dict[str, Validator] = {}
    for name, hint in typing.get_type_hints(table, include_extras=True).items():
        if name.startswith("_") or get_origin(hint) is typing.ClassVar or name == "indexes":
            continue
        validator = validator_of(hint, f"{where}, field {name!r}")
        fields[name] = v.optional(validator) if hasattr(table, name) else validator
    return fields


def parameters_of(handler: Callable[..., Any], where: str) -> tuple[list[Parameter], Validator]:
    """What a handler takes after its context, and the validator of what it returns.

    Raises `DefinitionError` for `*args`, positional-only parameters, a missing context, or hints
    that can't be resolved.
    """
    try:
        hints = typing.get_type_hints(handler, include_extras=True)
    except NameError as error:
        raise DefinitionError(
            f"{where}: the type hint {error.name!r} is not defined at run time. Import it outside "
            "of `if TYPE_CHECKING`, because hints are this function's validators."
        ) from None
    signature = inspect.signature(handler)
    names = list(signature.parameters.values())
    if not names:
        raise DefinitionError(f"{where}: the first parameter must be the context, such as ctx.")
    parameters = [
        _parameter(p, hints.get(p.name, inspect.Parameter.empty), where) for p in names[1:]
    ]
    return parameters, validator_of(
        hints.get("return", inspect.Parameter.empty), f"{where} returns"
    )


def _parameter(parameter: inspect.Parameter, hint: Any, where: str) -> Parameter:
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise DefinitionError(
            f"{where}: parameter {parameter.name!r} must be a named parameter; "
            "clients send arguments by name."
        )
    wire_name = parameter.name
    if get_origin(hint) is Annotated:
        wire_name = next((e.name for e in get_args(hint)[1:] if isinstance(e, Arg)), wire_name)
    validator = validator_of(hint, f"{where}, argument {parameter.name!r}")
    optional = parameter.default is not parameter.empty
    return Parameter(parameter.name, wire_name, validator, optional)
