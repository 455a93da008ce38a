"""PostHog's SQL, translated for DuckDB.

Owns what of the dialect is understood: one SELECT over the tables below, properties as
`properties.name`, `person.properties.name` or `properties['name']`, and what an event leads to: its
session and its groups. Never runs anything. What it does not know it refuses by name, rather than
guess.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Set
from datetime import datetime
from typing import Any, ClassVar, cast

import msgspec
import sqlglot
from sqlglot import exp
from sqlglot.dialects.clickhouse import ClickHouse
from sqlglot.errors import SqlglotError
from sqlglot.parsers.clickhouse import ClickHouseParser
from sqlglot.tokenizer_core import TokenType

from posthog_local.query.calls import AGGREGATES, OURS, called, is_plain
from posthog_local.query.clauses import understood
from posthog_local.query.filters import ALL, Condition, view_for
from posthog_local.query.hints import meant
from posthog_local.query.refusal import QueryRefused
from posthog_local.query.tablefolder import NO_TABLES, PREFIX, BesideTables
from posthog_local.query.tables import TABLES, columns_of

DEFAULT_ROWS, MAX_ROWS = 100, 50_000
_MAX_CHARACTERS = 100_000

_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg)
_NUMBERS = (*_ARITHMETIC, exp.Sum, exp.Avg, exp.Stddev, exp.Variance)
_NUMBER_FUNCTIONS = frozenset([
    "sumif", "avgif", "quantileif", "quantile", "quantiles", "quantileexact", "quantiletdigest",
    "median", "medianif", "stddevpop", "stddevsamp", "varpop", "varsamp",
    "intdiv", "modulo", "plus", "minus", "multiply", "divide",
])  # fmt: skip
_BINARY = frozenset(["intdiv", "modulo", "plus", "minus", "multiply", "divide"])
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.In, exp.Between)
_FILTERS = "__filters__"


class PostHogSQL(ClickHouse):
    """ClickHouse's words with names that begin with a dollar sign."""

    class Tokenizer(ClickHouse.Tokenizer):
        """Reads `$browser` as a name."""

        HEREDOC_STRINGS: ClassVar[list[Any]] = []
        SINGLE_TOKENS: ClassVar[dict[str, TokenType]] = {
            mark: kind for mark, kind in ClickHouse.Tokenizer.SINGLE_TOKENS.items() if mark != "$"
        }
        KEYWORDS: ClassVar[dict[str, TokenType]] = {
            **ClickHouse.Tokenizer.KEYWORDS, "=~": TokenType.RLIKE, "=~*": TokenType.IRLIKE,
        }  # fmt: skip

    class Parser(ClickHouseParser):
        """Leaves to us what we translate by ourselves."""

        FUNCTIONS: ClassVar[dict[str, Callable[..., Any]]] = {
            name: rule
            for name, rule in ClickHouseParser.FUNCTIONS.items()
            if name.lower() not in OURS
        }
        FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., Any]]] = {
            name: rule
            for name, rule in ClickHouseParser.FUNCTION_PARSERS.items()
            if name.lower() not in OURS or name == "EXTRACT"
        }


class Translation(msgspec.Struct, frozen=True, kw_only=True):
    """SQL for DuckDB that gives one row more than `limit` when there are more."""

    sql: str
    limit: int
    offset: int
    #: The tables that it asks.
    tables: tuple[str, ...] = ()


def translate(
    text: str,
    values: Mapping[str, Any] | None = None,
    beside: BesideTables = NO_TABLES,
    filtered: Condition = ALL,
) -> Translation:
    """The query for DuckDB; `values` fill placeholders like `{name}`, `filtered` fills `{filters}`.

    May raise `QueryRefused`. Tables `beside` events are read from their files. One that has the
    name of a table of ours is called `warehouse.name`, and every other may be.
    """
    with _refusing():
        return _translated(_parsed(text, values or {}), beside, filtered)


def _translated(query: exp.Query, beside: BesideTables, filtered: Condition) -> Translation:
    query = understood(query)
    named = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    _name_columns(query)
    _check_tables(query, named, beside)
    reached = _translate_properties(query)
    query = cast("exp.Query", query.transform(_function))
    _put_filters(query, filtered)
    events, tables = _source_of_events(query, reached, filtered), list[str]()
    for table in list(query.find_all(exp.Table)):
        if (table.name.lower() in named and not table.db) or isinstance(table.this, exp.Func):
            continue
        name, alias = table.name.lower(), table.alias or table.name
        tables.append(name)
        if name == "events" and not table.db:
            source = events.copy()
        elif name in TABLES and not table.db:
            source = exp.to_table(name)
        else:
            files = exp.Literal.string(beside.files[name][1])
            source = exp.Table(this=exp.Anonymous(this="read_parquet", expressions=[files]))
        table.replace(exp.alias_(source, alias, table=True))
    limit, offset = _bound(query)
    sql = query.sql("duckdb")
    return Translation(sql=sql, limit=limit, offset=offset, tables=tuple(tables))


def expression(text: str) -> Condition:
    """A condition over an event, as PostHog writes it in a filter. May raise `QueryRefused`."""
    query = _parsed(f"SELECT ({text}\n)", {})
    columns = query.expressions
    if query.find(exp.From, exp.Subquery, exp.Where, exp.Alias) is not None or len(columns) != 1:
        raise QueryRefused(f"{text!r} is no expression over one event")
    with _refusing():
        query = understood(exp.select("1").from_("events").where(columns[0], copy=False))
        reached = _translate_properties(query)
        query = cast("exp.Query", query.transform(_function))
        if reached:
            raise QueryRefused(f"a filter cannot ask for {', '.join(sorted(reached))}.… here")
        person = _view_of_events(query) != "events"
        return Condition(cast("exp.Where", query.args["where"]).this.sql("duckdb"), (), person)


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (SqlglotError, RecursionError) as error:
        raise QueryRefused(f"this query cannot be translated: {error}") from error


# What sqlglot raises of nonsense; beside its own errors it trips over missing arguments.
_UNPARSED = (SqlglotError, RecursionError, LookupError, TypeError, ValueError, AttributeError)


def aggregates(text: str) -> bool:
    """Whether an expression is of many rows at once. May raise `QueryRefused`."""
    query = _parsed(f"SELECT {text}\n", {})
    called_names = {str(one.this).lower() for one in query.find_all(exp.Anonymous)}
    return query.find(exp.AggFunc) is not None or bool(called_names & AGGREGATES)


def _parsed(text: str, values: Mapping[str, Any]) -> exp.Query:
    if len(text) > _MAX_CHARACTERS:
        raise QueryRefused(f"the query is longer than {_MAX_CHARACTERS} characters")
    filled = _filled(text, values)
    try:
        statements = [one for one in sqlglot.parse(filled, read=PostHogSQL) if one]
    except _UNPARSED as error:
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
        if name == "filters" and name not in values:
            parts += [rest[:start], _FILTERS]
        elif name not in values:
            raise QueryRefused(f"there is no value for the placeholder {{{name}}}")
        else:
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
        if isinstance(table.this, exp.Anonymous) and str(table.this.this) == "range":
            continue
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


def _translate_properties(query: exp.Query) -> set[str]:
    """Gives what is reached beyond events and persons: `session`, `group_0`."""
    reached = set[str]()
    aliases = {
        one.alias_or_name.lower() for one in query.find_all(exp.Table, exp.Subquery, exp.CTE)
    }
    beyond = _BEYOND.keys() - aliases
    for bracket in list(query.find_all(exp.Bracket)):
        key = bracket.expressions[0] if len(bracket.expressions) == 1 else None
        path = _path(bracket.this)
        if path and isinstance(key, exp.Literal) and key.is_string:
            _replace(bracket, [*path, key.name], beyond, reached)
    for dot in list(query.find_all(exp.Dot)):
        if not isinstance(dot.parent, exp.Dot) and (path := _path(dot)):
            _replace(dot, path, beyond, reached)
    for column in list(query.find_all(exp.Column)):
        _replace(column, _path(column), beyond, reached)
    return reached


def _path(node: exp.Expression | None) -> list[str]:
    if isinstance(node, exp.Column):
        return [part.name for part in node.parts]
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
        inner = _path(node.this)
        return [*inner, node.expression.name] if inner else []
    return []


def _replace(node: exp.Expression, path: list[str], beyond: Set[str], reached: set[str]) -> None:
    """A path through properties becomes the JSON's text, or its number where one is asked for."""
    path = _flattened(path, beyond, reached)
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


def _flattened(path: list[str], beyond: Set[str], reached: set[str]) -> list[str]:
    """What an event leads to are columns of its own here: `person.id` is `person_id`."""
    lowered = [part.lower() for part in path]
    if len(path) > 1 and "pdi" in lowered[:2]:
        at = lowered.index("pdi")
        return _flattened([*path[:at], *path[at + 1 :]], beyond, reached)
    if "person" in lowered[:2] and len(path) > lowered.index("person") + 1:
        at = lowered.index("person")
        return [*path[:at], f"person_{path[at + 1]}", *path[at + 2 :]]
    for at, part in enumerate(lowered[:2]):
        if part in beyond and len(path) > at + 1:
            table, known = _BEYOND[part], columns_of(_BEYOND[part])
            wanted = path[at + 1]
            if wanted not in known:
                near = meant(wanted, known)
                raise QueryRefused(f"there is no {part}.{wanted}{near}; {table} has"
                                   f" {', '.join(known)}")  # fmt: skip
            reached.add(part)
            return [*path[:at], f"{part}__{wanted}", *path[at + 2 :]]
    return path


_GROUPS = tuple(f"group_{number}" for number in range(5))
# What an event leads to, with the table that it is in.
_BEYOND = {"session": "sessions", **dict.fromkeys(_GROUPS, "groups")}
_PROPERTIES = frozenset(
    ["properties", "person_properties", "attributes", "resource_attributes"]
    + [f"{group}__properties" for group in _GROUPS]
)


def _wanted_type(node: exp.Expression) -> str | None:
    """DOUBLE or BOOLEAN when the place of a property asks for one; properties are text else."""
    parent = node.parent
    while isinstance(parent, exp.Paren):
        parent = parent.parent
    if isinstance(parent, _NUMBERS):
        return "DOUBLE"
    if isinstance(parent, exp.AnonymousAggFunc | exp.Anonymous):
        given = parent.args.get("params") or parent.expressions
        name, first = str(parent.this).lower(), bool(given) and given[0] is node
        return "DOUBLE" if name in _NUMBER_FUNCTIONS and (first or name in _BINARY) else None
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
    if isinstance(node, exp.ParameterizedAgg):
        return _known(node, str(node.this), [*node.args["params"], *node.expressions])
    if isinstance(node, exp.CombinedAggFunc | exp.AnonymousAggFunc | exp.Anonymous):
        return _known(node, str(node.this), list(node.expressions))
    if isinstance(node, exp.CastToStrType):
        kind = exp.DataType.build(node.args["to"].name, dialect="clickhouse")
        return exp.Cast(this=node.this, to=kind)
    return node


def _known(node: exp.Expression, name: str, given: list[exp.Expression]) -> exp.Expression:
    if is_plain(name) or name.lower() in _MADE:
        return node
    # What stands inside is not visited once the whole is replaced.
    return called(name, [one.transform(_function, copy=False) for one in given], node.parent)


# Calls that `clauses` and this module have made themselves.
_MADE = frozenset(["json_extract_string", "row"])


def _put_filters(query: exp.Query, filtered: Condition) -> None:
    """`{filters}` holds for the events of the SELECT that it stands in."""
    for column in [one for one in query.find_all(exp.Column) if one.name == _FILTERS]:
        select = column.find_ancestor(exp.Select)
        source = select.args.get("from_") if select is not None else None
        table = source.this if source is not None else None
        if not isinstance(table, exp.Table) or table.name.lower() != "events":
            raise QueryRefused("{filters} stands in the WHERE of a SELECT FROM events")
        sql = _inlined(filtered)
        if select is not None and select.args.get("joins"):
            view = view_for(person=filtered.person)
            place = exp.column("uuid", table=table.alias_or_name).sql("duckdb")
            sql = f"{place} IN (SELECT uuid FROM {view} WHERE {sql})"
        column.replace(exp.Paren(this=exp.Var(this=sql)))


def _inlined(filtered: Condition) -> str:
    """The condition with its values in it, which are ours or were read from JSON."""
    values = iter(filtered.values)
    return re.sub(r"'(?:[^']|'')*'|\?",
                  lambda found: _literal(next(values)) if found[0] == "?" else found[0],
                  filtered.sql)  # fmt: skip


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value.isoformat(sep=' ')}'"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    return "'" + str(value).replace("'", "''") + "'"


def _source_of_events(query: exp.Query, reached: set[str], filtered: Condition) -> exp.Expression:
    view = _view_of_events(query)
    if filtered.person and query.find(exp.Var) is not None:
        view = "events_with_person"
    if not reached:
        return exp.to_table(view)
    joins = " ".join(_joined(one) for one in sorted(reached))
    text = f"SELECT * FROM {view} AS whole {joins}"
    return cast("exp.Query", sqlglot.parse_one(text, read="duckdb")).subquery()


def _joined(part: str) -> str:
    table, key = _BEYOND[part], "key" if part in _GROUPS else "session_id"
    columns = ", ".join(f'"{one}" AS "{part}__{one}"' for one in columns_of(table))
    own, where = ("$session_id", "")
    if part in _GROUPS:
        own, where = f"${part}", f" WHERE index = {part[-1]}"
    return (
        f"LEFT JOIN (SELECT {columns} FROM {table}{where}) AS {part}_of"
        f' ON {part}_of."{part}__{key}" = whole."{own}"'
    )


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
