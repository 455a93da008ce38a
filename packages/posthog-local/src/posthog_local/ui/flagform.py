"""The flag editor's form and the definition behind it.

Owns both directions: which definitions the form can show, and the definition that a filled form
means. A definition that the form cannot show whole is edited as JSON, never simplified.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from posthog_local.flags.definition import InvalidDefinition
from posthog_local.flags.operators import OPERATOR_NAMES

_EMPTY_ROWS = 2
_SIMPLE_CONDITION = frozenset(["properties", "rollout_percentage", "variant"])
_SIMPLE_LINE = frozenset(["key", "type", "operator", "value"])
_WITHOUT_VALUE = frozenset(["is_set", "is_not_set"])

Fields = Mapping[str, Sequence[str]]


class VariantRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the variants' table."""

    key: str = ""
    share: str = ""
    payload: str = ""


class ConditionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the conditions' table."""

    key: str = ""
    operator: str = "exact"
    value: str = ""


class SetRows(msgspec.Struct, frozen=True, kw_only=True):
    """One condition set: lines that must all match, a cohort, a share, a variant for them."""

    rollout: str = ""
    variant: str = ""
    cohort: str = ""
    conditions: tuple[ConditionRow, ...] = ()

    @property
    def rows(self) -> tuple[ConditionRow, ...]:
        """The conditions and room for more."""
        return self.conditions + (ConditionRow(),) * _EMPTY_ROWS


class FlagForm(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the editor shows."""

    key: str = ""
    name: str = ""
    active: bool = True
    payload: str = ""
    variants: tuple[VariantRow, ...] = ()
    sets: tuple[SetRows, ...] = (SetRows(rollout="100"),)

    @property
    def variant_rows(self) -> tuple[VariantRow, ...]:
        """The variants and room for more."""
        return self.variants + (VariantRow(),) * _EMPTY_ROWS


def form_of(flag: Mapping[str, Any]) -> FlagForm | None:
    """The form that shows this flag whole; None when only JSON can."""
    filters = flag["filters"]
    groups = filters.get("groups") or []
    if not _is_simple(filters, groups):
        return None
    payloads = filters.get("payloads") or {}
    variants: list[dict[str, Any]] = (filters.get("multivariate") or {}).get("variants") or []
    return FlagForm(
        key=flag["key"],
        name=flag.get("name") or "",
        active=flag["active"],
        payload=_text(payloads.get("true", "")),
        variants=tuple(
            VariantRow(
                key=one["key"],
                share=f"{one.get('rollout_percentage', 0):g}",
                payload=_text(payloads.get(one["key"], "")),
            )
            for one in variants
        ),
        sets=tuple(map(_rows_of, groups)) or (SetRows(rollout="0"),),
    )


def condition_rows(lines: Sequence[Mapping[str, Any]]) -> tuple[ConditionRow, ...] | None:
    """Lines of person properties as rows; None when one of them is something else."""
    for line in lines:
        if set(line) - _SIMPLE_LINE or line.get("type", "person") != "person":
            return None
    return tuple(map(_row, lines))


def condition_lines(fields: Fields) -> list[dict[str, Any]]:
    """The lines that the rows of a form mean; `InvalidDefinition` names what is wrong."""
    return _conditions(fields, 0)


def _row(line: Mapping[str, Any]) -> ConditionRow:
    operator = line.get("operator") or "exact"
    return ConditionRow(key=str(line["key"]), operator=operator, value=_text(line.get("value")))


def _rows_of(group: Mapping[str, Any]) -> SetRows:
    rollout, lines = group.get("rollout_percentage"), group.get("properties") or []
    return SetRows(
        rollout="100" if rollout is None else f"{rollout:g}",
        variant=group.get("variant") or "",
        cohort=next((_text(line.get("value")) for line in lines if _is_cohort(line)), ""),
        conditions=tuple(_row(line) for line in lines if not _is_cohort(line)),
    )


def definition_of(fields: Fields) -> dict[str, Any]:
    """The definition that a filled form means; `InvalidDefinition` names what is wrong."""
    variants = _variants(fields)
    payloads = {key: payload for key, _, payload in variants if payload}
    own = _one(fields, "payload")
    if own and not variants:
        payloads["true"] = own
    for payload in payloads.values():
        _check_json(payload)
    listed = [{"key": key, "name": "", "rollout_percentage": share} for key, share, _ in variants]
    return {
        "key": _one(fields, "key"),
        "name": _one(fields, "name"),
        "active": _one(fields, "active") == "on",
        "filters": {
            "groups": _groups(fields),
            "multivariate": {"variants": listed} if listed else None,
            "payloads": payloads,
            "aggregation_group_type_index": None,
        },
    }


def _is_simple(filters: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> bool:
    special = ("aggregation_group_type_index", "holdout", "super_groups", "early_exit")
    if any(filters.get(name) not in (None, False) for name in special):
        return False
    for condition in groups:
        lines = condition.get("properties") or []
        others = [line for line in lines if not _is_cohort(line)]
        if set(condition) - _SIMPLE_CONDITION or len(lines) - len(others) > 1:
            return False
        if condition_rows(others) is None:
            return False
    return True


def _is_cohort(line: Mapping[str, Any]) -> bool:
    """Whether the line says "in this cohort", which the form has a field for."""
    inside = line.get("operator") in (None, "in", "exact")
    return line.get("type") == "cohort" and inside and not set(line) - _SIMPLE_LINE


def _variants(fields: Fields) -> list[tuple[str, float, str]]:
    rows = zip(
        fields.get("variant_key", ()),
        fields.get("variant_share", ()),
        fields.get("variant_payload", ()),
        strict=False,
    )
    return [
        (key.strip(), _percentage(share, f"the share of {key!r}"), payload.strip())
        for key, share, payload in rows
        if key.strip()
    ]


def _groups(fields: Fields) -> list[dict[str, Any]]:
    """The condition sets; one without a share and without a line is none."""
    shares = fields.get("rollout", ())
    groups = []
    for number, share in enumerate(shares):
        lines = _conditions(fields, number)
        cohort = _at(fields, "cohort", number)
        if cohort:
            lines.append(_cohort(cohort))
        if not share.strip() and not lines:
            continue
        groups.append(
            {
                "properties": lines,
                "rollout_percentage": _percentage(share, "rollout"),
                "variant": _at(fields, "condition_variant", number) or None,
            }
        )
    if not groups:
        raise InvalidDefinition("rollout must be a number from 0 to 100")
    return groups


def _conditions(fields: Fields, of_set: int) -> list[dict[str, Any]]:
    keys = fields.get("condition_key", ())
    rows = zip(
        keys,
        fields.get("condition_operator", ()),
        fields.get("condition_value", ()),
        fields.get("condition_set") or ("0",) * len(keys),
        strict=False,
    )
    return [
        _condition(key.strip(), operator, value)
        for key, operator, value, number in rows
        if key.strip() and number == str(of_set)
    ]


def _cohort(number: str) -> dict[str, Any]:
    if not (number.isascii() and number.isdigit() and len(number) < 16):
        raise InvalidDefinition(f"{number!r} is no cohort's number")
    return {"key": "id", "type": "cohort", "operator": "in", "value": int(number)}


def _condition(key: str, operator: str, value: str) -> dict[str, Any]:
    if operator not in OPERATOR_NAMES:
        raise InvalidDefinition(f"{operator!r} is no operator")
    line: dict[str, Any] = {"key": key, "type": "person", "operator": operator}
    if operator not in _WITHOUT_VALUE:
        line["value"] = _value(value)
    return line


def _value(text: str) -> Any:
    """JSON lists, numbers and booleans as themselves; everything else is text."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return text
    return value if isinstance(value, list | bool | int | float) else text


def _percentage(text: str, what: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise InvalidDefinition(f"{what} must be a number from 0 to 100") from None
    if not 0 <= number <= 100:
        raise InvalidDefinition(f"{what} must be a number from 0 to 100")
    return int(number) if number.is_integer() else number


def _check_json(payload: str) -> None:
    try:
        msgspec.json.decode(payload)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidDefinition(f"the payload {payload!r} is not JSON: {error}") from error


def _one(fields: Fields, name: str) -> str:
    values = fields.get(name, ())
    return values[0].strip() if values else ""


def _at(fields: Fields, name: str, number: int) -> str:
    values = fields.get(name, ())
    return values[number].strip() if number < len(values) else ""


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
