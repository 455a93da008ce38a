"""Calls of functions in PostHog's SQL, each as DuckDB's expression for it.

Owns what a call becomes: by its own rule, by the table of functions, or as an aggregate with a
condition (`sumIf` and its like). What is not known, or is given other arguments than are understood
here, is refused by name. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from sqlglot import exp

from posthog_local.query.functions import FUNCTIONS, SPELT, VARIADIC
from posthog_local.query.hints import meant
from posthog_local.query.refusal import QueryRefused

# DuckDB has these under the name that PostHog's dialect gives them.
_SAME_NAME = frozenset(["now", "greatest", "least", "abs", "floor", "ceil", "round", "replace"])
# Aggregates that sqlglot knows; a condition may be put behind each of them.
_PLAIN = {"sum": "SUM", "avg": "AVG", "min": "MIN", "max": "MAX", "argmin": "ARG_MIN",
          "argmax": "ARG_MAX"}  # fmt: skip
# ClickHouse's letters of a time's format that mean another thing to DuckDB.
_FORMATS = {"i": "%M", "M": "%B", "W": "%A", "s": "%S", "T": "%H:%M:%S", "R": "%H:%M",
            "F": "%Y-%m-%d", "D": "%m/%d/%y", "e": "%-d", "h": "%I", "r": "%I:%M %p"}  # fmt: skip
_JSON_TYPES = {"string": "VARCHAR", "int": "BIGINT", "int64": "BIGINT", "uint64": "UBIGINT",
               "float": "DOUBLE", "float64": "DOUBLE", "bool": "BOOLEAN"}  # fmt: skip
_ARRAY = re.compile(r"array\((?:nullable\()?(\w+)\)*", re.IGNORECASE)

Arguments: TypeAlias = list[exp.Expression]


def called(name: str, arguments: Arguments, parent: exp.Expr | None) -> exp.Expression:
    """What a call becomes; `QueryRefused` for what is not understood."""
    lowered = name.lower()
    special = _SPECIAL.get(lowered)
    if special is not None:
        return special(name, arguments)
    if lowered == "totimezone":
        return _zoned(name, arguments, parent)
    if lowered in VARIADIC:
        return exp.Anonymous(this=VARIADIC[lowered], expressions=arguments)
    if lowered in FUNCTIONS:
        return _by_table(name, FUNCTIONS[lowered], arguments)
    if lowered.endswith("if") and (base := lowered[:-2]) and _is_aggregate(base):
        return _conditional(name, base, arguments)
    raise QueryRefused(f"the function {name} is not supported{meant(name, SPELT)}")


def is_plain(name: str) -> bool:
    """Whether DuckDB has it under the same name."""
    return name.lower() in _SAME_NAME


def _by_table(name: str, words: Sequence[str], arguments: Arguments) -> exp.Expression:
    by_count = {_wanted(one): one for one in words}
    if len(arguments) not in by_count:
        many = "argument" if [*by_count] == [1] else "arguments"
        counts = " or ".join(map(str, by_count))
        raise QueryRefused(f"{name} takes {counts} {many} here, not {len(arguments)}")
    return made(by_count[len(arguments)], arguments)


def _wanted(words: str) -> int:
    return len({n for n in range(4) if f":a{n}" in words})


def made(words: str, arguments: Sequence[exp.Expression]) -> exp.Expression:
    """DuckDB's words with the arguments in their places."""
    built: exp.Expression = exp.maybe_parse(words, dialect="duckdb")
    for placeholder in list(built.find_all(exp.Placeholder)):
        argument = arguments[int(placeholder.name[1:])].copy()
        if placeholder is built:
            return argument
        placeholder.replace(
            exp.Paren(this=argument) if isinstance(argument, exp.Binary) else argument
        )
    binary = isinstance(built, exp.Binary | exp.Not | exp.Neg)
    return exp.Paren(this=built) if binary else built


def _is_aggregate(base: str) -> bool:
    return base in _PLAIN or base in _CONDITIONED


def _conditional(name: str, base: str, arguments: Arguments) -> exp.Expression:
    """An aggregate of the rows for which the argument after its own holds.

    Every aggregate passes over what has no value, so the others have none.
    """
    # What stands in front of the arguments (the level of `quantileIf(0.9)(x, …)`) comes last.
    at = 2 if base.startswith("arg") else 1
    if len(arguments) <= at:
        raise QueryRefused(f"{name} takes what it is of and a condition")
    condition, own = arguments[at], [*arguments[:at], *arguments[at + 1 :]]
    own[at - 1] = exp.Case().when(condition, own[at - 1])
    if base in _PLAIN:
        return exp.Anonymous(this=_PLAIN[base], expressions=own)
    return called(base, own, None)


_CONDITIONED = frozenset([
    "any", "anylast", "quantile", "quantiles", "median", "grouparray", "groupuniqarray", "uniq",
    "countdistinct", "uniqexact", "stddevpop", "stddevsamp", "varpop", "varsamp",
])  # fmt: skip


def _multi_if(name: str, arguments: Arguments) -> exp.Expression:
    if len(arguments) % 2 == 0:
        raise QueryRefused(f"{name} takes pairs of condition and value, and a value for the rest")
    case = exp.Case(default=arguments[-1])
    for condition, value in zip(arguments[:-1:2], arguments[1::2], strict=True):
        case = case.when(condition, value)
    return case


def _uniq(_name: str, arguments: Arguments) -> exp.Expression:
    return exp.Count(this=exp.Distinct(expressions=arguments))


def _quantiles(name: str, arguments: Arguments) -> exp.Expression:
    if len(arguments) < 2:
        raise QueryRefused(f"{name} takes levels and what they are of: {name}(0.5, 0.9)(x)")
    levels = exp.Array(expressions=arguments[1:])
    return exp.Anonymous(this="QUANTILE_CONT", expressions=[arguments[0], levels])


def _zoned(name: str, arguments: Arguments, parent: exp.Expr | None) -> exp.Expression:
    """A zone's clock, for what is read off it, or as text: moments have no zone of their own."""
    if len(arguments) != 2:
        raise QueryRefused(f"{name} takes a time and a zone")
    if isinstance(parent, exp.Alias):
        return made(_ZONED_TEXT, arguments)
    if isinstance(parent, (exp.Func, exp.Cast)):
        return made(_ZONED, arguments)
    raise QueryRefused(
        f"{name} is understood as a column, and in a function that reads the clock:"
        " toHour(toTimeZone(timestamp, 'Europe/Berlin'))"
    )


_ZONED = "((:a0 AT TIME ZONE 'UTC') AT TIME ZONE :a1)"
_AHEAD_MINUTES = f"CAST(ABS(EPOCH({_ZONED}) - EPOCH(:a0)) / 60 AS BIGINT)"
_ZONED_TEXT = (
    f"(STRFTIME({_ZONED}, '%Y-%m-%dT%H:%M:%S.%f') || CASE WHEN {_ZONED} < :a0 THEN '-' ELSE '+' END"
    f" || LPAD(CAST({_AHEAD_MINUTES} // 60 AS VARCHAR), 2, '0') || ':'"
    f" || LPAD(CAST({_AHEAD_MINUTES} % 60 AS VARCHAR), 2, '0'))"
)


def _start_of_week(name: str, arguments: Arguments) -> exp.Expression:
    mode = arguments[1].name if len(arguments) == 2 else "0"
    if len(arguments) not in (1, 2) or mode not in ("0", "1", "3"):
        raise QueryRefused(f"{name} takes a time, and 0 (Sunday) or 1 (Monday)")
    words = "DATE_TRUNC('week', :a0)"
    if mode == "0":
        words = "(DATE_TRUNC('week', :a0 + INTERVAL 1 DAY) - INTERVAL 1 DAY)"
    return made(words, arguments)


def _format(name: str, arguments: Arguments) -> exp.Expression:
    if len(arguments) not in (2, 3) or not _is_text(arguments[1]):
        raise QueryRefused(f"{name} takes a time, a format in single quotes, and perhaps a zone")
    wanted = re.sub(r"%(.)", lambda found: _FORMATS.get(found[1], found[0]), arguments[1].name)
    moment = arguments[0]
    if len(arguments) == 3:
        moment = made(_ZONED, [moment, arguments[2]])
    return made("STRFTIME(:a0, :a1)", [moment, exp.Literal.string(wanted)])


def _date_name(name: str, arguments: Arguments) -> exp.Expression:
    part = arguments[0].name.lower() if len(arguments) == 2 else ""
    words = {"weekday": "DAYNAME(:a1)", "month": "MONTHNAME(:a1)"}.get(part)
    words = words or {"year": "STRFTIME(:a1, '%Y')", "day": "STRFTIME(:a1, '%-d')"}.get(part)
    if words is None:
        raise QueryRefused(f"{name} takes 'weekday', 'day', 'month' or 'year', and a time")
    return made(words, arguments)


def _extract(name: str, arguments: Arguments) -> exp.Expression:
    if len(arguments) != 2:
        raise QueryRefused(f"{name} takes 2 arguments here, not {len(arguments)}")
    grouped = not _is_text(arguments[1]) or _has_group(arguments[1].name)
    return made(f"REGEXP_EXTRACT(:a0, :a1, {int(grouped)})", arguments)


def _has_group(pattern: str) -> bool:
    plain = re.sub(r"\\.|\[[^\]]*\]", "", pattern)
    return re.search(r"\((?!\?)|\(\?P?<", plain) is not None


def _slice(name: str, arguments: Arguments) -> exp.Expression:
    """From a place on, so many; a place below 0 counts from the end."""
    if len(arguments) not in (2, 3):
        raise QueryRefused(f"{name} takes a list, a place, and perhaps how many")
    begin = "(CASE WHEN :a1 < 0 THEN GREATEST(LEN(:a0) + :a1 + 1, 1) ELSE :a1 END)"
    end = "LEN(:a0)" if len(arguments) == 2 else f"({begin} + :a2 - 1)"
    return made(f"LIST_SLICE(:a0, {begin}, {end})", arguments)


def _over_lists(words: str, alone: str | None = None) -> Callable[[str, Arguments], exp.Expression]:
    """A function with a lambda over one list, or over several side by side.

    In `words`, `:a0` is the list of what the lambda is asked, `:a1` the lambda.
    """

    def rule(name: str, arguments: Arguments) -> exp.Expression:
        if len(arguments) == 1 and alone is not None:
            return made(alone, arguments)
        if len(arguments) < 2 or not isinstance(arguments[0], exp.Lambda):
            raise QueryRefused(f"{name} takes a lambda and a list: {name}(x -> x, [1, 2])")
        function, lists = arguments[0], arguments[1:]
        names = [one.name for one in function.expressions]
        if len(names) != len(lists):
            raise QueryRefused(
                f"the lambda of {name} has {len(names)} names for {len(lists)} lists"
            )
        if len(lists) == 1:
            return made(words, [lists[0], function])
        zipped = exp.Anonymous(this="LIST_ZIP", expressions=lists)
        return made(words, [zipped, _of_tuple(function, names)])

    return rule


def _of_tuple(function: exp.Lambda, names: list[str]) -> exp.Lambda:
    """The lambda over tuples that does what one over several values does."""
    # A name that nobody writes: the names of outer lambdas must not be hidden.
    whole = f"zipped_{'_'.join(names)}"

    def picked(node: exp.Expression) -> exp.Expression:
        in_place = isinstance(node, exp.Identifier) and not isinstance(node.parent, exp.Column)
        if in_place and node.name in names and not isinstance(node.parent, exp.TableAlias):
            return exp.Bracket(
                this=exp.to_identifier(whole),
                expressions=[exp.Literal.number(names.index(node.name) + 1)],
                offset=1,
            )
        return node

    body = function.this.copy().transform(picked)
    return exp.Lambda(this=body, expressions=[exp.to_identifier(whole)])


def _filter(name: str, arguments: Arguments) -> exp.Expression:
    """Of several lists the first is what is kept."""
    found = _over_lists("LIST_FILTER(:a0, :a1)")(name, arguments)
    if len(arguments) > 2:
        return made("LIST_TRANSFORM(:a0, lambda kept: kept[1])", [found])
    return found


def _sort(order: str) -> Callable[[str, Arguments], exp.Expression]:
    def rule(name: str, arguments: Arguments) -> exp.Expression:
        if len(arguments) == 1:
            return made(f"{order}(:a0)", arguments)
        if len(arguments) != 2 or not isinstance(arguments[0], exp.Lambda):
            raise QueryRefused(f"{name} takes a list, or a lambda and a list")
        function, found = arguments
        keys = exp.Anonymous(this="LIST_TRANSFORM", expressions=[found, function])
        words = f"LIST_TRANSFORM({order}(LIST_ZIP(:a0, :a1)), lambda sorted: sorted[2])"
        return made(words, [keys, found])

    return rule


def _of_json(kind: str) -> Callable[[str, Arguments], exp.Expression]:
    """What is at the keys after the first argument, in DuckDB's words around `:path`."""

    def rule(name: str, arguments: Arguments) -> exp.Expression:
        if not arguments:
            raise QueryRefused(f"{name} takes JSON, and keys")
        return made(kind, [arguments[0], _json_path(arguments[1:])])

    return rule


def _json_path(keys: Arguments) -> exp.Expression:
    path: exp.Expression = exp.Literal.string("$")
    for key in keys:
        if isinstance(key, exp.Literal) and not key.is_string:
            step: exp.Expression = exp.Literal.string(f"[{int(key.name) - 1}]")
        else:
            step = made("('.' || JSON_QUOTE(:a0))", [key])
        path = exp.DPipe(this=path, expression=step)
    return exp.Paren(this=path) if keys else path


def _json_extract(name: str, arguments: Arguments) -> exp.Expression:
    kind = arguments[-1] if len(arguments) > 1 else None
    if kind is None or not _is_text(kind):
        raise QueryRefused(f"{name} takes JSON, keys, and a type: 'String', 'Array(String)'")
    found, path = arguments[0], _json_path(arguments[1:-1])
    nullable = re.sub(r"(?i)^nullable\((.*)\)$", r"\1", kind.name)
    listed = _ARRAY.fullmatch(nullable)
    type_name = _JSON_TYPES.get((listed[1] if listed else nullable).lower())
    if type_name is None:
        raise QueryRefused(f"{name} knows the types String, Int, Float, Bool and Array(…) of these,"
                           f" not {kind.name}")  # fmt: skip
    if listed is None:
        return made(_cast("JSON_EXTRACT_STRING(:a0, :a1)", type_name), [found, path])
    words = "JSON_EXTRACT_STRING(:a0, :a1 || '[*]')"
    if type_name != "VARCHAR":
        words = f"LIST_TRANSFORM({words}, lambda one: {_cast('one', type_name)})"
    return made(words, [found, path])


def _cast(text: str, type_name: str) -> str:
    """A text as this type, or nothing where it is none; whole numbers are cut, not rounded."""
    if type_name in ("BIGINT", "UBIGINT"):
        text = f"TRUNC(TRY_CAST({text} AS DECIMAL(38, 18)))"
    return f"TRY_CAST({text} AS {type_name})"


def _is_text(node: exp.Expression) -> bool:
    return isinstance(node, exp.Literal) and node.is_string


_RAW = "CAST(JSON_EXTRACT(:a0, :a1 || '[*]') AS VARCHAR[])"
_SPECIAL: dict[str, Callable[[str, Arguments], exp.Expression]] = {
    "multiif": _multi_if,
    "uniq": _uniq,
    "quantiles": _quantiles,
    "tostartofweek": _start_of_week,
    "formatdatetime": _format,
    "datename": _date_name,
    "extract": _extract,
    "arrayslice": _slice,
    "arraymap": _over_lists("LIST_TRANSFORM(:a0, :a1)"),
    "arrayfilter": _filter,
    "arrayexists": _over_lists("LEN(LIST_FILTER(:a0, :a1)) > 0"),
    "arrayall": _over_lists("LEN(LIST_FILTER(:a0, :a1)) = LEN(:a0)"),
    "arraycount": _over_lists("LEN(LIST_FILTER(:a0, :a1))"),
    "arrayfirst": _over_lists("LIST_EXTRACT(LIST_FILTER(:a0, :a1), 1)"),
    "arraylast": _over_lists("LIST_EXTRACT(LIST_FILTER(:a0, :a1), -1)"),
    "arraysum": _over_lists("LIST_SUM(LIST_TRANSFORM(:a0, :a1))", "COALESCE(LIST_SUM(:a0), 0)"),
    "arrayavg": _over_lists("LIST_AVG(LIST_TRANSFORM(:a0, :a1))", "LIST_AVG(:a0)"),
    "arraymin": _over_lists("LIST_MIN(LIST_TRANSFORM(:a0, :a1))", "LIST_MIN(:a0)"),
    "arraymax": _over_lists("LIST_MAX(LIST_TRANSFORM(:a0, :a1))", "LIST_MAX(:a0)"),
    "arraysort": _sort("LIST_SORT"),
    "arrayreversesort": _sort("LIST_REVERSE_SORT"),
    "jsonextract": _json_extract,
    "jsonextractstring": _of_json("JSON_EXTRACT_STRING(:a0, :a1)"),
    "jsonextractraw": _of_json("CAST(JSON_EXTRACT(:a0, :a1) AS VARCHAR)"),
    "jsonextractint": _of_json(_cast("JSON_EXTRACT_STRING(:a0, :a1)", "BIGINT")),
    "jsonextractuint": _of_json(_cast("JSON_EXTRACT_STRING(:a0, :a1)", "UBIGINT")),
    "jsonextractfloat": _of_json("TRY_CAST(JSON_EXTRACT_STRING(:a0, :a1) AS DOUBLE)"),
    "jsonextractbool": _of_json("TRY_CAST(JSON_EXTRACT_STRING(:a0, :a1) AS BOOLEAN)"),
    "jsonextractarrayraw": _of_json(_RAW),
    "jsonextractkeys": _of_json("JSON_KEYS(:a0, :a1)"),
    "jsonlength": _of_json(
        "CASE WHEN JSON_TYPE(:a0, :a1) = 'OBJECT' THEN LEN(JSON_KEYS(:a0, :a1))"
        " ELSE JSON_ARRAY_LENGTH(:a0, :a1) END"
    ),
    "jsonhas": _of_json("JSON_EXISTS(:a0, :a1)"),
}
#: Aggregates that sqlglot does not know as such, since we read them by ourselves.
AGGREGATES = frozenset([*_CONDITIONED, "countif", "topk", "anyheavy", "quantileexact"])
#: Names that sqlglot must leave to us, though it knows some of them.
OURS = frozenset([*_SPECIAL, *FUNCTIONS, *VARIADIC]) - {"concat", "not"}
