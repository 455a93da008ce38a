"""One query of PostHog's SQL, answered in PostHog's shape.

Owns the way from text to result: translate, ask, cut to the limit, name the types as ClickHouse
does. The API and the console show the same.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from posthog_local.query.analyst import Analyst
from posthog_local.query.filters import ALL, Condition, Written
from posthog_local.query.hints import worded
from posthog_local.query.refusal import QueryRefused
from posthog_local.query.tablefolder import NO_TABLES, BesideTables
from posthog_local.query.warehouse import CopyFailed

_MISSING = (
    "SQL needs the extra `sql`, which is not installed: pip install 'posthog-local[sql]',"
    " then start the server again"
)
# DuckDB's names of types, as ClickHouse calls them.
_TYPES = {
    "VARCHAR": "String",
    "BOOLEAN": "Bool",
    "DOUBLE": "Float64",
    "FLOAT": "Float32",
    "INTEGER": "Int32",
    "BIGINT": "Int64",
    "HUGEINT": "Int128",
    "DATE": "Date",
    "TIMESTAMP": "DateTime64(6, 'UTC')",
    "TIMESTAMP WITH TIME ZONE": "DateTime64(6, 'UTC')",
}


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A query's answer, ready for JSON."""

    columns: list[str]
    types: list[list[str]]
    results: list[list[Any]]
    sql: str
    limit: int
    offset: int
    has_more: bool


async def answer(
    analyst: Analyst,
    text: str,
    values: Mapping[str, Any] | None = None,
    filtered: Condition = ALL,
) -> Result:
    """Runs a query, `{filters}` in it filled; `QueryRefused` says what is wrong with it."""
    try:
        from posthog_local.query.dialect import translate
    except ImportError as error:
        raise QueryRefused(_MISSING) from error
    beside = tables_beside(analyst)
    translation = translate(text, values, beside, filtered)
    try:
        found = await analyst.ask(translation.sql)
    except CopyFailed:
        raise  # says nothing of the query
    except QueryRefused as refused:
        now = tables_beside(analyst)
        if now == beside:
            raise QueryRefused(worded(str(refused), text, translation.tables)) from refused
        # The files were replaced by newer ones between our looking and reading.
        translation = translate(text, values, now, filtered)
        found = await analyst.ask(translation.sql)
    kept = found.rows[: translation.limit]
    pairs = zip(found.columns, found.types, strict=True)
    return Result(
        columns=found.columns,
        types=[[name, _TYPES.get(kind, kind)] for name, kind in pairs],
        results=[[_plain(value) for value in row] for row in kept],
        sql=translation.sql,
        limit=translation.limit,
        offset=translation.offset,
        has_more=len(found.rows) > translation.limit,
    )


def written(text: str) -> Written:
    """A condition over an event in PostHog's SQL, as a filter; may raise `QueryRefused`."""
    try:
        from posthog_local.query.dialect import expression
    except ImportError as error:
        raise QueryRefused(_MISSING) from error
    return Written(condition=expression(text))


def counts_events(text: str) -> bool:
    """Whether an expression of PostHog's SQL is of many events at once: an aggregate."""
    try:
        from posthog_local.query.dialect import aggregates
    except ImportError as error:
        raise QueryRefused(_MISSING) from error
    return aggregates(text)


def tables_beside(analyst: Analyst) -> BesideTables:
    """The tables beside events that are there now."""
    return NO_TABLES if analyst.beside is None else analyst.beside.look()


def _plain(value: object) -> Any:
    """A value as JSON knows it."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return str(value)
