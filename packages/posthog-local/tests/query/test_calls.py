"""Functions of PostHog's SQL: what they give, as ClickHouse documents them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest

from posthog_local.query.dialect import translate
from posthog_local.query.refusal import QueryRefused


def value(expression: str) -> Any:
    connection = pytest.importorskip("duckdb").connect(config={"threads": 1})
    connection.execute("SET TimeZone = 'UTC'")
    return connection.execute(translate(f"SELECT {expression}").sql).fetchone()[0]


_T = "toDateTime('2026-03-29 00:30:15')"
_JSON = """'{"a": {"b": [1, 2.5]}, "s": "x", "n": 7, "ok": true, "tags": ["p", "q"]}'"""


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("length('abc')", 3),
        ("length([1, 2])", 2),
        ("empty('')", True),
        ("notEmpty([1])", True),
        ("arrayMap(x -> x + 1, [1, 2])", [2, 3]),
        ("arrayMap((x, y) -> x + y, [1, 2], [10, 20])", [11, 22]),
        ("arrayMap(x -> arrayMap(y -> x * y, [1, 2]), [3])", [[3, 6]]),
        ("arrayFilter(x -> x > 1, [1, 2, 3])", [2, 3]),
        ("arrayFilter((x, y) -> y, ['a', 'b'], [true, false])", ["a"]),
        ("arrayExists(x -> x = 2, [1, 2])", True),
        ("arrayAll(x -> x > 1, [1, 2])", False),
        ("arrayCount(x -> x > 1, [1, 2, 3])", 2),
        ("arrayFirst(x -> x > 1, [1, 2, 3])", 2),
        ("arrayLast(x -> x > 1, [1, 2, 3])", 3),
        ("arraySum(x -> x * 2, [1, 2])", 6),
        ("arraySum([1, 2])", 3),
        ("arrayAvg([1, 2])", 1.5),
        ("arrayMax([1, 3, 2])", 3),
        ("arraySort([3, 1, 2])", [1, 2, 3]),
        ("arraySort(x -> -x, [3, 1, 2])", [3, 2, 1]),
        ("arrayReverseSort([3, 1, 2])", [3, 2, 1]),
        ("arraySlice([1, 2, 3, 4], 2, 2)", [2, 3]),
        ("arraySlice([1, 2, 3, 4], 2)", [2, 3, 4]),
        ("arraySlice([1, 2, 3, 4], -2, 2)", [3, 4]),
        ("arrayConcat([1], [2], [3])", [1, 2, 3]),
        ("arrayZip([1, 2], ['a', 'b'])", [(1, "a"), (2, "b")]),
        ("arrayPushBack([1], 2)", [1, 2]),
        ("arrayPushFront([1], 0)", [0, 1]),
        ("arrayPopBack([1, 2])", [1]),
        ("arrayPopFront([1, 2])", [2]),
        ("arrayEnumerate(['a', 'b'])", [1, 2]),
        ("arrayCompact([1, 1, 2, 1])", [1, 2, 1]),
        ("arrayUniq([1, 1, 2])", 2),
        ("arrayElement([5, 6], 2)", 6),
        ("[5, 6][1]", 5),
        ("indexOf(['a', 'b'], 'b')", 2),
        ("indexOf(['a'], 'z')", 0),
        ("has(['a'], 'a')", True),
        ("hasAny([1, 2], [2, 3])", True),
        ("hasAll([1, 2], [2, 3])", False),
        ("arrayStringConcat(['a', 'b'], '>')", "a>b"),
        ("range(3)", [0, 1, 2]),
        ("tuple(1, 'a').2", "a"),
        ("(1, 'a').1", 1),
        ("tupleElement((1, 'a'), 2)", "a"),
        ("splitByChar('/', 'a/b')[2]", "b"),
        (f"JSONExtractString({_JSON}, 's')", "x"),
        (f"JSONExtractInt({_JSON}, 'a', 'b', 1)", 1),
        (f"JSONExtractInt({_JSON}, 'a', 'b', 2)", 2),
        ("""JSONExtractInt('{"n": 7.5}', 'n')""", 7),
        ("""JSONExtractInt('{"n": -7.5}', 'n')""", -7),
        ("""JSONExtractInt('{"n": 1.5e3}', 'n')""", 1500),
        ("""JSONExtractInt('{"n": -9223372036854775808}', 'n')""", -(2**63)),
        ("""JSONExtractUInt('{"n": 18446744073709551615}', 'n')""", 2**64 - 1),
        ("""JSONExtractInt('{"n": "no"}', 'n')""", None),
        ("""JSONExtract('{"n": 7.5}', 'n', 'Int')""", 7),
        ("""JSONExtract('{"n": [7.5, -0.9]}', 'n', 'Array(Int64)')""", [7, 0]),
        (f"JSONExtractFloat({_JSON}, 'a', 'b', 2)", 2.5),
        (f"JSONExtractBool({_JSON}, 'ok')", True),
        (f"JSONExtractRaw({_JSON}, 'a')", '{"b":[1,2.5]}'),
        (f"JSONExtractArrayRaw({_JSON}, 'tags')", ['"p"', '"q"']),
        (f"JSONExtractKeys({_JSON}, 'a')", ["b"]),
        (f"JSONExtract({_JSON}, 'tags', 'Array(String)')", ["p", "q"]),
        (f"JSONExtract({_JSON}, 'a', 'b', 'Array(Float64)')", [1.0, 2.5]),
        (f"JSONExtract({_JSON}, 'n', 'Int')", 7),
        (f"JSONHas({_JSON}, 'gone')", False),
        (f"JSONHas({_JSON}, 's')", True),
        (f"JSONLength({_JSON}, 'tags')", 2),
        (f"JSONLength({_JSON})", 5),
        ("path('https://a.example/docs/x?y=1#z')", "/docs/x"),
        ("domain('https://www.a.example:8/docs')", "www.a.example"),
        ("domainWithoutWWW('https://www.a.example/docs')", "a.example"),
        ("cutQueryString('https://a.example/x?y=1#z')", "https://a.example/x#z"),
        ("extractURLParameter('https://a.example/?b=2&a=1#z', 'a')", "1"),
        ("decodeURLComponent('a%20b')", "a b"),
        ("extract('product/42', 'product/([0-9]+)')", "42"),
        ("extract('product/42', '[0-9]+')", "42"),
        ("replaceRegexpAll('a1b2', '[0-9]', '-')", "a-b-"),
        ("replaceRegexpOne('a1b2', '[0-9]', '-')", "a-b2"),
        ("multiSearchAnyCaseInsensitive('Chrome', ['chrome', 'edge'])", True),
        ("countSubstrings('banana', 'an')", 2),
        ("base64Decode(base64Encode('abc'))", "abc"),
        ("concatWithSeparator('-', 'a', 'b')", "a-b"),
        ("'abc' =~ 'a.c'", True),
        (f"formatDateTime({_T}, '%Y-%m-%d %H:%i:%S')", "2026-03-29 00:30:15"),
        (f"formatDateTime({_T}, '%M')", "March"),
        (f"formatDateTime({_T}, '%H', 'Asia/Tokyo')", "09"),
        (f"toHour(toTimeZone({_T}, 'Europe/Berlin'))", 1),
        (f"toDate(toTimeZone({_T}, 'America/New_York'))", date(2026, 3, 28)),
        (f"toTimeZone({_T}, 'Europe/Berlin')", "2026-03-29T01:30:15.000000+01:00"),
        (f"toTimeZone({_T}, 'America/St_Johns')", "2026-03-28T22:00:15.000000-02:30"),
        ("toTimeZone(toDateTime('2026-03-29 01:00:00'), 'Europe/Berlin')",
         "2026-03-29T03:00:00.000000+02:00"),
        ("toDateTime('2026-07-01 00:00:00', 'Europe/Berlin')", datetime(2026, 6, 30, 22)),
        (f"toStartOfWeek({_T})", datetime(2026, 3, 29)),
        (f"toStartOfWeek({_T}, 1)", datetime(2026, 3, 23)),
        (f"toMonday({_T})", datetime(2026, 3, 23)),
        (f"toStartOfFifteenMinutes({_T})", datetime(2026, 3, 29, 0, 30)),
        (f"addMonths({_T}, -1)", datetime(2026, 2, 28, 0, 30, 15)),
        (f"subtractDays({_T}, 1)", datetime(2026, 3, 28, 0, 30, 15)),
        ("toUnixTimestamp(toDateTime('1970-01-01 00:00:01.900'))", 1),
        ("fromUnixTimestamp(60)", datetime(1970, 1, 1, 0, 1)),
        ("age('day', toDateTime('2026-01-01 12:00:00'), toDateTime('2026-01-03 11:00:00'))", 1),
        ("dateDiff('day', toDateTime('2026-01-01 12:00:00'), toDateTime('2026-01-03 11:00:00'))",
         2),
        (f"dateName('weekday', {_T})", "Sunday"),
        ("toUInt64('7')", 7),
        ("toIntOrZero('x')", 0),
        ("CAST('7', 'Int64')", 7),
        ("minus(5, plus(1, 2))", 2),
        ("equals(1, 1) AND notEquals(1, 2) AND not(less(2, 1))", True),
        ("multiIf(1 = 2, 'a', 2 = 2, 'b', 'c')", "b"),
    ],
)  # fmt: skip
def test_values(expression: str, expected: Any) -> None:
    assert value(expression) == expected


_ROWS = "FROM (SELECT arrayJoin([1, 2, 3, 4]) AS n)"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("countIf(n > 2)", 2),
        ("countIf(nullIf(n, n) = 1)", 0),
        ("sumIf(n, n > 2)", 7),
        ("avgIf(n, n > 2)", 3.5),
        ("maxIf(n, n < 3)", 2),
        ("uniqIf(n, n > 2)", 2),
        ("anyIf(n, n = 3)", 3),
        ("quantile(0.5)(n)", 2.5),
        ("median(n)", 2.5),
        ("quantiles(0, 1)(n)", [1.0, 4.0]),
        ("quantileIf(0.5)(n, n > 2)", 3.5),
        ("argMaxIf(n, -n, n > 2)", 3),
        ("groupArray(2)(n)", [1, 2]),
        ("groupArray(nullIf(n, 2))", [1, 3, 4]),
        ("groupArrayIf(n, n > 9)", []),
        ("length(groupUniqArray(n % 2))", 2),
        ("uniq(n % 2, n % 3)", 4),
        ("stddevPop(n)", 1.118033988749895),
        ("count()", 4),
    ],
)
def test_aggregates(expression: str, expected: Any) -> None:
    assert value(f"{expression} {_ROWS}") == expected


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("toTimeZone(now(), 'UTC') > now()", "in a function that reads the clock"),
        ("arrayMap(x -> x, [1], [2])", "1 names for 2 lists"),
        ("arrayMap([1], [2])", "takes a lambda and a list"),
        ("JSONExtract('{}', 'a', 'Tuple(Int)')", "knows the types"),
        ("toStartOfWeek(now(), 5)", "Monday"),
        ("toDate('2026-01-01', 'UTC', 1)", "takes 1 or 2 arguments here, not 3"),
        ("getenvIf('HOME', true)", "getenvIf is not supported"),
        ("formatDateTime(now(), upper('%Y'))", "a format in single quotes"),
        ("quantiles(n)", "takes levels"),
    ],
)
def test_what_is_not_understood_is_named(expression: str, said: str) -> None:
    with pytest.raises(QueryRefused, match=said):
        translate(f"SELECT {expression}")
