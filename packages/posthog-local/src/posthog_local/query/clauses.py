"""Clauses that ClickHouse has and DuckDB has not, in DuckDB's words.

Owns `PREWHERE`, `ARRAY JOIN`, `LIMIT … BY`, `numbers(…)` and names of values before a SELECT. What
would change the result when left out (`SAMPLE`, `WITH FILL`) is refused by name. Pure.
"""

from __future__ import annotations

from typing import cast

from sqlglot import exp

from posthog_local.query.refusal import QueryRefused

_MAX_NUMBERS = 1_000_000


def understood(query: exp.Query) -> exp.Query:
    """The query without these clauses; may raise `QueryRefused`."""
    _refuse(query)
    query = _with_values(query)
    for select in [*query.find_all(exp.Select)]:
        _prewhere(select)
        _array_joins(select)
        _limit_by(select)
    for table in [*query.find_all(exp.Table)]:
        _numbers(table)
    for dot in [*query.find_all(exp.Dot)]:
        if isinstance(dot.expression, exp.Literal) and not dot.expression.is_string:
            place = exp.Bracket(this=exp.Paren(this=_row(dot.this)), expressions=[dot.expression])
            place.set("offset", 1)
            dot.replace(place)
    return query


def _refuse(query: exp.Query) -> None:
    if query.find(exp.TableSample) is not None:
        raise QueryRefused("SAMPLE is not supported: every event is looked at; leave it out")
    if query.find(exp.WithFill) is not None:
        raise QueryRefused(
            "WITH FILL is not supported; join the days that you want:"
            " SELECT today() - number FROM numbers(30)"
        )
    if query.find(exp.Final) is not None:
        raise QueryRefused("FINAL is not supported, and not needed here; leave it out")


def _with_values(query: exp.Query) -> exp.Query:
    """`WITH 5 AS n` stands in every place that says `n`."""
    named = [one for one in query.find_all(exp.CTE) if one.args.get("scalar")]
    for one in named:
        value = one.this if isinstance(one.this, exp.Subquery) else exp.Paren(this=one.this)
        owner = one.parent
        one.pop()
        for column in [*query.find_all(exp.Column)]:
            if column.name == one.alias and not column.table:
                column.replace(value.copy())
        if isinstance(owner, exp.With) and not owner.expressions:
            owner.pop()
    return query


def _prewhere(select: exp.Select) -> None:
    before = select.args.get("prewhere")
    if before is not None:
        select.set("prewhere", None)
        select.where(before.this, copy=False)


def _array_joins(select: exp.Select) -> None:
    for join in [*(select.args.get("joins") or [])]:
        if join.kind != "ARRAY":
            continue
        parts = [join.this, *join.expressions]
        if len(parts) > 1 or not isinstance(parts[0], exp.Alias):
            raise QueryRefused("ARRAY JOIN takes one list with a name: ARRAY JOIN [1, 2] AS x")
        [part] = parts
        unnested = exp.Unnest(
            expressions=[part.this],
            alias=exp.TableAlias(
                this=exp.to_identifier(f"each_{part.alias}"),
                columns=[exp.to_identifier(part.alias)],
            ),
        )
        left = join.side == "LEFT"
        replaced = exp.Join(this=unnested, kind=None if left else "CROSS")
        if left:
            replaced.set("side", "LEFT")
            replaced.set("on", exp.true())
        join.replace(replaced)


def _limit_by(select: exp.Select) -> None:
    """So many rows of each: the first ones in the order of the query."""
    limit = select.args.get("limit")
    by = limit.expressions if isinstance(limit, exp.Limit) else []
    if limit is None or not by:
        return
    count = limit.expression
    if not isinstance(count, exp.Literal) or count.is_string:
        raise QueryRefused("LIMIT … BY takes a whole number")
    order = select.args.get("order")
    place = exp.Window(
        this=exp.RowNumber(),
        partition_by=[_of_alias(one, select) for one in by],
        order=None if order is None else _of_alias(order, select),
    )
    select.set("limit", None)
    select.set("qualify", exp.Qualify(this=exp.LTE(this=place, expression=count)))


def _of_alias(node: exp.Expression, select: exp.Select) -> exp.Expression:
    """What is named in the SELECT, in place of its name: windows come before names are given."""
    named = {one.alias: one.this for one in select.expressions if isinstance(one, exp.Alias)}

    def replaced(one: exp.Expression) -> exp.Expression:
        if isinstance(one, exp.Column) and not one.table and one.name in named:
            return cast("exp.Expression", named[one.name].copy())
        return one

    return node.copy().transform(replaced)


def _numbers(table: exp.Table) -> None:
    call = table.this
    if not isinstance(call, exp.Anonymous) or str(call.this).lower() != "numbers":
        return
    bounds = [one.name for one in call.expressions if isinstance(one, exp.Literal)]
    if len(bounds) != len(call.expressions) or not all(one.isdigit() for one in bounds):
        raise QueryRefused("numbers(…) takes whole numbers: numbers(30), numbers(1, 30)")
    first, count = (0, int(bounds[0])) if len(bounds) == 1 else (int(bounds[0]), int(bounds[1]))
    if not 0 <= count <= _MAX_NUMBERS:
        raise QueryRefused(f"numbers(…) gives up to {_MAX_NUMBERS:,}")
    source = exp.select("range AS number").from_(
        exp.Table(this=exp.Anonymous(this="range", expressions=[
            exp.Literal.number(first), exp.Literal.number(first + count)]))
    )  # fmt: skip
    table.replace(source.subquery(table.alias or "numbers"))


def _row(node: exp.Expression) -> exp.Expression:
    if isinstance(node, exp.Tuple):
        return exp.Anonymous(this="ROW", expressions=node.expressions)
    return node
