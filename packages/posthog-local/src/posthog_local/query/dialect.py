"""PostHog's SQL, translated for DuckDB.

Owns what of the dialect is understood: one SELECT over the tables below, properties as
`properties.name`, `person.properties.name` or `properties['name']`, and the functions of the tables
here. Never runs anything. What it does not know it refuses by name, rather than guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec
import sqlglot
from sqlglot import exp
from sqlglot.dialects.clickhouse import ClickHouse
from sqlglot.errors import SqlglotError

from posthog_local.query.functions import FUNCTIONS, SPELT
from posthog_local.query.hints import meant
from posthog_local.query.refusal import QueryRefused
from posthog_local.query.tablefolder import NO_TABLES, PREFIX, BesideTables
from posthog_local.query.tables import TABLES

DEFAULT_ROWS, MAX_ROWS = 100, 50_000
_MAX_CHARACTERS = 100_000

# DuckDB has these under the name that PostHog's dialect gives them.
_SAME_NAME = frozenset(["now", "greatest", "least", "abs", "floor", "ceil", "round", "replace"])
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg)
_NUMBERS = (*_ARITHMETIC, exp.Sum, exp.Avg, exp.Median, exp.Quantile, exp.Stddev, exp.Variance)
_NUMBER_FUNCTIONS = frozenset(["sumif", "avgif", "quantileif", "intdiv", "modulo"])
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.In, exp.Between)


class PostHogSQL(ClickHouse):
    """ClickHouse's words with names that begin with a dollar sign."""

    class Tokenizer(ClickHouse.Tokenizer):
        """Reads `$browser` as a name."""

        HEREDOC_STRINGS = []  # noqa: RUF012  # sqlglot reads it from the class
        SINGLE_TOKENS = {  # noqa: RUF012
            mark: kind for mark, kind in ClickHouse.Tokenizer.SINGLE_TOKENS.items() if mark != "$"
        }


class Translation(msgspec.Struct, frozen=True, kw_only=True):
    """SQL for DuckDB that gives one row more than `limit` when there are more."""

    sql: str
    limit: int
    offset: int
    #: The tables that it asks.
    tables: tuple[str, ...] = ()


def translate(
    text: str, values: Mapping[str, Any] | None = None, beside: BesideTables = NO_TABLES
) -> Translation:
    """The query for DuckDB; `values` fill placeholders like `{name}`. May raise `QueryRefused`.

    Tables `beside` events are read from their files. One that has the name of a table of ours is
    called `warehouse.name`, and every other may be.
    """
    query = _parsed(text, values or {})
    named = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    _name_columns(query)
    _check_tables(query, named, beside)
    _translate_properties(query)
    query = cast("exp.Query", query.transform(_function))
    events, tables = _view_of_events(query), list[str]()
    for table in query.find_all(exp.Table):
        if table.name.lower() in named and not table.db:
            continue
        name, alias = table.name.lower(), table.alias or table.name
        tables.append(name)
        if name in TABLES and not table.db:
            source = exp.to_table(events if name == "events" else name)
        else:
            files = exp.Literal.string(beside.files[name][1])
            source = exp.Table(this=exp.Anonymous(this="read_parquet", expressions=[files]))
        table.replace(exp.alias_(source, alias, table=True))
    limit, offset = _bound(query)
    try:
        sql = query.sql("duckdb")
    except SqlglotError as error:
        raise QueryRefused(f"this query cannot be translated: {error}") from error
    return Translation(sql=sql, limit=limit, offset=offset, tables=tuple(tables))


def _parsed(text: str, values: Mapping[str, Any]) -> exp.Query:
    if len(text) > _MAX_CHARACTERS:
        raise QueryRefused(f"the query is longer than {_MAX_CHARACTERS} characters")
    try:
        statements = [one for one in sqlglot.parse(_filled(text, values), read=PostHogSQL) if one]
    except (SqlglotError, RecursionError) as error:
        lines = str(error).replace("\x1b[4m", "").replace("\x1b[0m", "")
        raise QueryRefused(f"this is no query that we understand: {lines}") from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise QueryRefused("one SELECT, please: nothing else is run")
    return statements[0]


def _filled(text: str, values: Mapping[str, Any]) -> str:
    """Placeholders become literals. Braces mean nothing else in this dialect outside of text."""
    parts, rest = [], text
    while (start := _brace(rest)) >= 0:
        end = rest.find("}", start)
        name = rest[start + 1 : end].strip() if end > 0 else ""
        if name not in values:
            raise QueryRefused(f"there is no value for the placeholder {{{name}}}")
        parts += [rest[:start], exp.convert(values[name]).sql(PostHogSQL)]
        rest = rest[end + 1 :]
    return "".join([*parts, rest])


def _brace(text: str) -> int:
    """Where the first opening brace stands outside of quotes; -1 without one."""
    quote, skip = "", False
    for position, character in enumerate(text):
        if skip:
            skip = False
        elif character == "\\" and quote:
            skip = True
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"`":
            quote = character
        elif character == "{":
            return position
    return -1


def _name_columns(query: exp.Query) -> None:
    """A column without a name is called what was written, as PostHog does."""
    for select in [query, *query.find_all(exp.Select)]:
        if not isinstance(select, exp.Select) or select.find_ancestor(exp.Select, exp.SetOperation):
            continue
        named = [
            one
            if one.is_star or isinstance(one, exp.Alias) or one.find(exp.Star) is one
            else exp.alias_(one, one.sql(PostHogSQL), quoted=True)
            for one in select.expressions
        ]
        select.set("expressions", named)


def _check_tables(query: exp.Query, named: set[str], beside: BesideTables) -> None:
    there = ", ".join([*TABLES, *(_called(name) for name in beside.names)])
    for table in query.find_all(exp.Table):
        known = table.name.lower()
        if not isinstance(table.this, exp.Identifier) or table.catalog:
            raise QueryRefused(f"{table.sql(PostHogSQL)} is no table; there are {there}")
        if table.db and table.db.lower() != PREFIX:
            raise QueryRefused(f"there is no table {table.sql(PostHogSQL)}; there are {there}")
        if known in beside.delta and known not in named:
            raise QueryRefused(
                f"{table.name} is a Delta table, and only folders of plain Parquet files are read:"
                " have the sync write one"
            )
        if table.db and known in beside.files:
            _drop_prefix(query, table)
        elif table.db or not (known in TABLES or known in named or known in beside.files):
            near = meant(table.name, [*TABLES, *beside.names])
            raise QueryRefused(f"there is no table {table.name!r}{near or ';'} there are {there}")


def _called(name: str) -> str:
    return f"{PREFIX}.{name}" if name.lower() in TABLES else name


def _drop_prefix(query: exp.Query, table: exp.Table) -> None:
    """Columns may repeat the whole name of their table; the translation goes by the last part."""
    for column in query.find_all(exp.Column):
        if column.db.lower() == PREFIX and column.table.lower() == table.name.lower():
            column.set("db", None)


def _translate_properties(query: exp.Query) -> None:
    for bracket in list(query.find_all(exp.Bracket)):
        key = bracket.expressions[0] if len(bracket.expressions) == 1 else None
        path = _path(bracket.this)
        if path and isinstance(key, exp.Literal) and key.is_string:
            _replace(bracket, [*path, key.name])
    for dot in list(query.find_all(exp.Dot)):
        if not isinstance(dot.parent, exp.Dot) and (path := _path(dot)):
            _replace(dot, path)
    for column in list(query.find_all(exp.Column)):
        _replace(column, _path(column))


def _path(node: exp.Expression | None) -> list[str]:
    if isinstance(node, exp.Column):
        return [part.name for part in node.parts]
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
        inner = _path(node.this)
        return [*inner, node.expression.name] if inner else []
    return []


def _replace(node: exp.Expression, path: list[str]) -> None:
    """A path through properties becomes the JSON's text, or its number where one is asked for."""
    lowered = [part.lower() for part in path]
    if lowered[0] in _GROUP_FIELDS and len(path) > 1:
        raise QueryRefused(
            f"{path[0]}.… is not supported; join it: events e JOIN groups g"
            f" ON g.key = e.${lowered[0]} AND g.index = {lowered[0][-1]}"
        )
    if lowered[0] == "session" and len(path) > 1:
        raise QueryRefused(
            f"session.… is not supported; join it: events e JOIN sessions s"
            f" ON s.session_id = e.$session_id, then s.{path[1]}"
        )
    if lowered[0] == "pdi":
        raise QueryRefused("pdi.… is not supported; person_id is a column of events")
    if "person" in lowered[:2] and len(path) > lowered.index("person") + 1:
        at = lowered.index("person")
        path = [*path[:at], f"person_{path[at + 1]}", *path[at + 2 :]]
        lowered = [part.lower() for part in path]
    at = next((n for n, one in enumerate(lowered) if one in _PROPERTIES), len(path))
    column = exp.column(path[min(at, len(path) - 1)], table=path[at - 1] if at == 1 else None)
    if at >= len(path):  # no property: only a person's own column changes its name
        if len(path) <= 2:
            node.replace(
                exp.column(path[-1], table=path[0] if len(path) == 2 else None, quoted=True)
            )
        return
    keys = path[at + 1 :]
    if not keys:
        node.replace(column)
        return
    where = "$" + "".join(f".{msgspec.json.encode(key).decode()}" for key in keys)
    text = exp.func("json_extract_string", column, exp.Literal.string(where), dialect="duckdb")
    kind = _wanted_type(node)
    node.replace(exp.TryCast(this=text, to=exp.DataType.build(kind)) if kind else text)


_GROUP_FIELDS = frozenset(f"group_{number}" for number in range(5))
_PROPERTIES = frozenset(["properties", "person_properties", "attributes", "resource_attributes"])


def _wanted_type(node: exp.Expression) -> str | None:
    """DOUBLE or BOOLEAN when the place of a property asks for one; properties are text else."""
    parent = node.parent
    while isinstance(parent, exp.Paren):
        parent = parent.parent
    if isinstance(parent, _NUMBERS):
        return "DOUBLE"
    if isinstance(parent, exp.AnonymousAggFunc | exp.Anonymous):
        first = bool(parent.expressions) and parent.expressions[0] is node
        return "DOUBLE" if first and str(parent.this).lower() in _NUMBER_FUNCTIONS else None
    if isinstance(parent, _COMPARISONS):
        others = [one for one in parent.iter_expressions() if one is not node]
        if any(isinstance(one, exp.Literal) and not one.is_string for one in others):
            return "DOUBLE"
        if any(isinstance(one, (*_ARITHMETIC,)) for one in others):
            return "DOUBLE"
        if any(isinstance(one, exp.Boolean) for one in others):
            return "BOOLEAN"
    return None


def _function(node: exp.Expression) -> exp.Expression:
    if isinstance(node, exp.ApproxDistinct):
        return exp.Count(this=exp.Distinct(expressions=[node.this.transform(_function)]))
    if isinstance(node, exp.ParameterizedAgg):
        return _known(node, str(node.this), [*node.args["params"], *node.expressions])
    if isinstance(node, exp.CombinedAggFunc | exp.AnonymousAggFunc):
        return _known(node, str(node.this), list(node.expressions))
    if isinstance(node, exp.Anonymous):
        return _known(node, str(node.this), list(node.expressions))
    return node


def _known(node: exp.Expression, name: str, given: list[exp.Expression]) -> exp.Expression:
    # What stands inside is not visited once the whole is replaced.
    arguments = [one.transform(_function) for one in given]
    lowered = name.lower()
    if lowered == "multiif" and len(arguments) % 2 == 1:
        case = exp.Case(default=arguments[-1])
        for condition, value in zip(arguments[:-1:2], arguments[1::2], strict=True):
            case = case.when(condition, value)
        return case
    if lowered in _SAME_NAME or lowered == "json_extract_string":
        return node
    template = FUNCTIONS.get(lowered)
    if template is None:
        raise QueryRefused(f"the function {name} is not supported{meant(name, SPELT)}")
    wanted = len({n for n in range(4) if f":a{n}" in template})
    if len(arguments) < wanted:
        many = "argument" if wanted == 1 else "arguments"
        raise QueryRefused(f"{name} takes {wanted} {many} here, not {len(arguments)}")
    built: exp.Expression = exp.maybe_parse(template, dialect="duckdb")
    for placeholder in list(built.find_all(exp.Placeholder)):
        placeholder.replace(arguments[int(placeholder.name[1:])].copy())
    if isinstance(built, exp.Binary):
        return exp.Paren(this=built)
    return built


def _view_of_events(query: exp.Query) -> str:
    """The view that joins no more than is asked for: a join costs more than most questions."""
    columns = {column.name.lower() for column in query.find_all(exp.Column)}
    if query.find(exp.Star) is not None or columns & {"person_properties", "person_created_at"}:
        return "events_with_person"
    return "events_of_person" if "person_id" in columns else "events"


def _bound(query: exp.Query) -> tuple[int, int]:
    limit = _number(query, "limit", DEFAULT_ROWS)
    bounded = min(limit, MAX_ROWS)
    query.limit(bounded + 1, copy=False)
    return bounded, _number(query, "offset", 0)


def _number(query: exp.Query, clause: str, default: int) -> int:
    node = query.args.get(clause)
    if node is None:
        return default
    value = node.expression
    if not isinstance(value, exp.Literal) or value.is_string or not value.name.isdigit():
        raise QueryRefused(f"{clause.upper()} takes a whole number")
    return int(value.name)
