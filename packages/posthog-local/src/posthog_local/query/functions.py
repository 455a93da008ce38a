"""Functions of PostHog's SQL that DuckDB has under another name, or not at all.

Owns the table from one to the other. A name is understood in any case, as ClickHouse understands
some of its own. What needs more than words to put its arguments in stands in `calls`.
"""

from __future__ import annotations

_INT = "CAST(TRUNC(TRY_CAST(:a0 AS DOUBLE)) AS BIGINT)"
_FLOAT = "TRY_CAST(:a0 AS DOUBLE)"
_DISTINCT = "COUNT(DISTINCT :a0)"
# Aggregates pass over what has no value, as ClickHouse's do.
_THERE = "FILTER (WHERE (:a0) IS NOT NULL)"
_LISTED = f"COALESCE(LIST(:a0) {_THERE}, [])"
_SET = f"COALESCE(LIST(DISTINCT :a0) {_THERE}, [])"

_TYPES = {
    **{f"toInt{size}": _INT for size in ("", "8", "16", "32", "64", "OrNull")},
    **{f"toUInt{size}": _INT for size in ("8", "16", "32", "64")},
    **{f"toFloat{size}": _FLOAT for size in ("", "32", "64", "OrNull")},
    "toIntOrZero": f"COALESCE({_INT}, 0)",
    "toFloatOrDefault": f"COALESCE({_FLOAT}, :a1)",
    "toFloatOrZero": f"COALESCE({_FLOAT}, 0)",
    "toDecimal": f"ROUND({_FLOAT}, :a1)",
    "toBool": "TRY_CAST(:a0 AS BOOLEAN)",
    "toString": "CAST(:a0 AS VARCHAR)",
    "toUUID": "CAST(:a0 AS VARCHAR)",
    "toJSONString": "CAST(TO_JSON(:a0) AS VARCHAR)",
    "toTypeName": "TYPEOF(:a0)",
    "toNullable": ":a0",
    "assumeNotNull": ":a0",
    "generateUUIDv4": "CAST(UUID() AS VARCHAR)",
}
_ZONED = "((:t AT TIME ZONE 'UTC') AT TIME ZONE :z)"
_UNITS = ("Second", "Minute", "Hour", "Day", "Week", "Month", "Quarter", "Year")
_TIMES: dict[str, str | tuple[str, ...]] = {
    "toDate": ("CAST(:a0 AS DATE)", f"CAST({_ZONED} AS DATE)".replace(":t", ":a0")
               .replace(":z", ":a1")),
    "toDateOrNull": "TRY_CAST(:a0 AS DATE)",
    "toDateTime": ("CAST(:a0 AS TIMESTAMP)",
                   "((CAST(:a0 AS TIMESTAMP) AT TIME ZONE :a1) AT TIME ZONE 'UTC')"),
    "toDateTime64": "CAST(:a0 AS TIMESTAMP) + 0 * TO_SECONDS(:a1)",
    "toDateTimeOrNull": "TRY_CAST(:a0 AS TIMESTAMP)",
    "parseDateTimeBestEffort": "CAST(:a0 AS TIMESTAMP)",
    "parseDateTimeBestEffortOrNull": "TRY_CAST(:a0 AS TIMESTAMP)",
    "fromUnixTimestamp": "MAKE_TIMESTAMP(CAST(:a0 AS BIGINT) * 1000000)",
    "fromUnixTimestamp64Milli": "MAKE_TIMESTAMP(CAST(:a0 AS BIGINT) * 1000)",
    "toUnixTimestamp": "CAST(FLOOR(EPOCH(:a0)) AS BIGINT)",
    "toUnixTimestamp64Milli": "EPOCH_MS(:a0)",
    "toStartOfInterval": "TIME_BUCKET(:a1, :a0)",
    "toStartOfFiveMinutes": "TIME_BUCKET(INTERVAL 5 MINUTE, :a0)",
    "toStartOfTenMinutes": "TIME_BUCKET(INTERVAL 10 MINUTE, :a0)",
    "toStartOfFifteenMinutes": "TIME_BUCKET(INTERVAL 15 MINUTE, :a0)",
    "toMonday": "DATE_TRUNC('week', :a0)",
    "toHour": "EXTRACT(hour FROM :a0)",
    "toMinute": "EXTRACT(minute FROM :a0)",
    "toSecond": "EXTRACT(second FROM :a0)",
    "toDayOfWeek": "EXTRACT(isodow FROM :a0)",
    "toDayOfMonth": "EXTRACT(day FROM :a0)",
    "toDayOfYear": "EXTRACT(doy FROM :a0)",
    "toMonth": "EXTRACT(month FROM :a0)",
    "toQuarter": "EXTRACT(quarter FROM :a0)",
    "toYear": "EXTRACT(year FROM :a0)",
    "toISOYear": "EXTRACT(isoyear FROM :a0)",
    "monthName": "MONTHNAME(:a0)",
    "toYYYYMM": "CAST(STRFTIME(:a0, '%Y%m') AS BIGINT)",
    "toYYYYMMDD": "CAST(STRFTIME(:a0, '%Y%m%d') AS BIGINT)",
    "toLastDayOfMonth": "LAST_DAY(:a0)",
    "age": "DATE_SUB(:a0, :a1, :a2)",
    "yesterday": "CURRENT_DATE - 1",
    "today": "CURRENT_DATE",
    **{f"toInterval{unit}": f"TO_{unit}s(:a0)" for unit in _UNITS},
    **{f"add{unit}s": f"(:a0 + TO_{unit}s(:a1))" for unit in _UNITS},
    **{f"subtract{unit}s": f"(:a0 - TO_{unit}s(:a1))" for unit in _UNITS},
}  # fmt: skip
_TEXT = {
    "lower": "LOWER(:a0)",
    "upper": "UPPER(:a0)",
    "length": "LEN(:a0)",
    "lengthUTF8": "LEN(:a0)",
    "empty": "COALESCE(LEN(:a0), 0) = 0",
    "notEmpty": "COALESCE(LEN(:a0), 0) > 0",
    "replaceAll": "REPLACE(:a0, :a1, :a2)",
    "replaceOne": "REGEXP_REPLACE(:a0, REGEXP_ESCAPE(:a1), REPLACE(:a2, '\\', '\\\\'))",
    "replaceRegexpAll": "REGEXP_REPLACE(:a0, :a1, :a2, 'g')",
    "replaceRegexpOne": "REGEXP_REPLACE(:a0, :a1, :a2)",
    "positionCaseInsensitive": "STRPOS(LOWER(:a0), LOWER(:a1))",
    "countSubstrings": "CAST((LEN(:a0) - LEN(REPLACE(:a0, :a1, ''))) / LEN(:a1) AS BIGINT)",
    "base64Encode": "TO_BASE64(ENCODE(:a0))",
    "base64Decode": "DECODE(FROM_BASE64(:a0))",
    "multiMatchAny": "LEN(LIST_FILTER(:a1, lambda one: REGEXP_MATCHES(:a0, one))) > 0",
    "multiSearchAny": "LEN(LIST_FILTER(:a1, lambda one: CONTAINS(:a0, one))) > 0",
    "multiSearchAnyCaseInsensitive":
        "LEN(LIST_FILTER(:a1, lambda one: CONTAINS(LOWER(:a0), LOWER(one)))) > 0",
    "splitByRegexp": "REGEXP_SPLIT_TO_ARRAY(:a1, :a0)",
    "protocol": "REGEXP_EXTRACT(:a0, '^([a-zA-Z][a-zA-Z0-9+.-]*):', 1)",
    "domain": "REGEXP_EXTRACT(:a0, '^[a-z]+://([^/:?#]+)', 1)",
    "domainWithoutWWW": "REGEXP_EXTRACT(:a0, '^[a-z]+://(?:www\\.)?([^/:?#]+)', 1)",
    "path": "REGEXP_EXTRACT(:a0, '^[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#]*([^?#]*)', 1)",
    "pathFull": "REGEXP_EXTRACT(:a0, '^[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#]*(.*)', 1)",
    "queryString": "REGEXP_EXTRACT(:a0, '\\?([^#]*)', 1)",
    "fragment": "REGEXP_EXTRACT(:a0, '#(.*)', 1)",
    "cutQueryString": "REGEXP_REPLACE(:a0, '\\?[^#]*', '')",
    "cutQueryStringAndFragment": "REGEXP_REPLACE(:a0, '[?#].*', '')",
    "cutFragment": "REGEXP_REPLACE(:a0, '#.*', '')",
    "cutWWW": "REGEXP_REPLACE(:a0, '://www\\.', '://')",
    "extractURLParameter":
        "REGEXP_EXTRACT(:a0, '[?&]' || REGEXP_ESCAPE(:a1) || '=([^&#]*)', 1)",
    "decodeURLComponent": "URL_DECODE(:a0)",
    "encodeURLComponent": "URL_ENCODE(:a0)",
}  # fmt: skip
_CONDITIONS = {
    "isNull": "(:a0) IS NULL",
    "isNotNull": "(:a0) IS NOT NULL",
    "equals": ":a0 = :a1",
    "notEquals": ":a0 <> :a1",
    "less": ":a0 < :a1",
    "lessOrEquals": ":a0 <= :a1",
    "greater": ":a0 > :a1",
    "greaterOrEquals": ":a0 >= :a1",
    "not": "NOT (:a0)",
    "plus": ":a0 + :a1",
    "minus": ":a0 - :a1",
    "multiply": ":a0 * :a1",
    "divide": ":a0 / :a1",
    "negate": "-(:a0)",
    "intDiv": "CAST(TRUNC(:a0 / :a1) AS BIGINT)",
    "modulo": "(:a0) % (:a1)",
    "isFinite": "ISFINITE(:a0)",
}
_LISTS: dict[str, str | tuple[str, ...]] = {
    "has": "COALESCE(LIST_CONTAINS(:a0, :a1), false)",
    "hasAny": "LIST_HAS_ANY(:a0, :a1)",
    "hasAll": "LIST_HAS_ALL(:a0, :a1)",
    "indexOf": "COALESCE(LIST_POSITION(:a0, :a1), 0)",
    "countEqual": "LEN(LIST_FILTER(:a0, lambda one: one = :a1))",
    "arrayElement": "LIST_EXTRACT(:a0, :a1)",
    "tupleElement": "STRUCT_EXTRACT(:a0, :a1)",
    "arrayDistinct": "LIST_DISTINCT(:a0)",
    "arrayUniq": "LEN(LIST_DISTINCT(:a0))",
    "arrayReverse": "LIST_REVERSE(:a0)",
    "arrayFlatten": "FLATTEN(:a0)",
    "arrayCompact": "LIST_FILTER(:a0, lambda one, at: at = 1 OR one <> LIST_EXTRACT(:a0, at - 1))",
    "arrayEnumerate": "GENERATE_SERIES(1, LEN(:a0))",
    "arrayPushBack": "LIST_APPEND(:a0, :a1)",
    "arrayPushFront": "LIST_PREPEND(:a1, :a0)",
    "arrayPopBack": "LIST_SLICE(:a0, 1, LEN(:a0) - 1)",
    "arrayPopFront": "LIST_SLICE(:a0, 2, LEN(:a0))",
    "arrayStringConcat": ("ARRAY_TO_STRING(:a0, '')", "ARRAY_TO_STRING(:a0, :a1)"),
    "arrayIntersect": "LIST_INTERSECT(:a0, :a1)",
    "extractAll": "REGEXP_EXTRACT_ALL(:a0, :a1)",
    "range": ("RANGE(:a0)", "RANGE(:a0, :a1)", "RANGE(:a0, :a1, :a2)"),
    "mapKeys": "MAP_KEYS(:a0)",
    "mapValues": "MAP_VALUES(:a0)",
}
_AGGREGATES: dict[str, str | tuple[str, ...]] = {
    "countDistinct": _DISTINCT,
    **{name: _DISTINCT for name in ("uniqExact", "uniqHLL12", "uniqCombined", "uniqCombined64")},
    "countIf": "COUNT(CASE WHEN :a0 THEN 1 END)",
    "groupArray": (_LISTED, f"LIST_SLICE({_LISTED}, 1, :a1)"),
    "groupUniqArray": (_SET, f"LIST_SLICE({_SET}, 1, :a1)"),
    "any": "ANY_VALUE(:a0)",
    "anyLast": f"LAST(:a0) {_THERE}",
    "anyHeavy": "MODE(:a0)",
    "topK": "APPROX_TOP_K(:a0, :a1)",
    "median": "MEDIAN(:a0)",
    "quantile": ("MEDIAN(:a0)", "QUANTILE_CONT(:a0, :a1)"),
    "quantileTDigest": "QUANTILE_CONT(:a0, :a1)",
    "quantileExact": "QUANTILE_DISC(:a0, :a1)",
    "stddevPop": "STDDEV_POP(:a0)",
    "stddevSamp": "STDDEV_SAMP(:a0)",
    "varPop": "VAR_POP(:a0)",
    "varSamp": "VAR_SAMP(:a0)",
    "covarPop": "COVAR_POP(:a0, :a1)",
    "covarSamp": "COVAR_SAMP(:a0, :a1)",
    "lagInFrame": ("LAG(:a0)", "LAG(:a0, :a1)", "LAG(:a0, :a1, :a2)"),
    "leadInFrame": ("LEAD(:a0)", "LEAD(:a0, :a1)", "LEAD(:a0, :a1, :a2)"),
}
_TABLE: dict[str, str | tuple[str, ...]] = {
    **_TYPES, **_TIMES, **_TEXT, **_CONDITIONS, **_LISTS, **_AGGREGATES
}  # fmt: skip
#: DuckDB's words by the name in lower case, for each number of arguments: :a0, :a1 … are these.
FUNCTIONS = {
    name.lower(): (words,) if isinstance(words, str) else words for name, words in _TABLE.items()
}
#: DuckDB's function for one that takes any number of arguments.
VARIADIC = {
    "tuple": "ROW",
    "arrayzip": "LIST_ZIP",
    "arrayconcat": "LIST_CONCAT",
    "concat": "CONCAT",
    "concatwithseparator": "CONCAT_WS",
}
#: As they are written, with the most used of those that both call the same.
SPELT = (
    *_TABLE,
    *("count", "uniq", "sum", "avg", "min", "max", "sumIf", "avgIf", "quantiles"),
    *("argMin", "argMax", "if", "multiIf", "ifNull", "coalesce", "now", "dateDiff", "dateTrunc"),
    *("toStartOfMinute", "toStartOfHour", "toStartOfDay", "toStartOfMonth", "toStartOfQuarter"),
    *("toStartOfYear", "formatDateTime", "substring", "startsWith", "endsWith", "trim", "match"),
    *("round", "floor", "ceil", "abs", "greatest", "least", "splitByChar", "arrayJoin", "replace"),
    *("arrayMap", "arrayFilter", "arrayExists", "arrayAll", "arrayCount", "arrayFirst"),
    *("arraySort", "arraySum", "arrayAvg", "arrayMin", "arrayMax", "arraySlice", "extract"),
    *("JSONExtract", "JSONExtractString", "JSONExtractInt", "JSONExtractFloat", "JSONExtractBool"),
    *("JSONExtractRaw", "JSONExtractArrayRaw", "JSONExtractKeys", "JSONHas", "JSONLength"),
    *("toTimeZone", "toStartOfWeek"),
)
