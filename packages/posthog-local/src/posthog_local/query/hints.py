"""What is said when a query cannot be answered: what is wrong, and what to write instead.

Owns these sentences. DuckDB's own words are turned where they would mislead whoever wrote PostHog's
SQL, and shown as they are else. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from posthog_local.query.tables import columns_of

_COLUMN = re.compile(
    r'Referenced column "(?P<a>[^"]+)" not found'
    r'|Column "(?P<b>[^"]+)" referenced that exists in the SELECT clause'
    r'|does not have a column named "(?P<c>[^"]+)"'
)
_TABLE = re.compile(r'Referenced table "([^"]+)" not found')
_TYPES = re.compile(r"No function matches the given name and argument types '(\w+)\(([^']*)'?\)")
_FUNCTION = re.compile(r"Function with name \"?(\w+)\"? does not exist")
_CONVERSION = re.compile(r"Could not convert string '(.*)' to (\w+)", re.DOTALL)


def meant(name: str, known: Iterable[str]) -> str:
    """A guess at what was meant, as the end of a sentence; empty when nothing is near.

    >>> meant("evnt", ["event", "uuid"])
    '; did you mean event?'
    """
    spelt = {one.lower(): one for one in known}
    near = get_close_matches(name.lower(), spelt, 1, 0.7)
    return f"; did you mean {spelt[near[0]]}?" if near else ""


def worded(said: str, text: str, tables: Sequence[str]) -> str:
    """DuckDB's refusal of a query over these tables, in words for whoever wrote it."""
    if (match := _COLUMN.search(said)) is not None:
        return _no_column(next(one for one in match.groups() if one), text, tables)
    if (match := _TABLE.search(said)) is not None:
        there = ", ".join(tables) or "none"
        return (
            f"{match[1]!r} is no table of this query; its tables are {there}. Join it, or name it"
        )
    if (match := _TYPES.search(said)) is not None:
        return (
            f"{match[1]} does not take {match[2]}: make it another type first, as with"
            " toFloat(…), toString(…) or toDateTime(…)"
        )
    if (match := _FUNCTION.search(said)) is not None:
        return f"the function {match[1]} is not supported here"
    if (match := _CONVERSION.search(said)) is not None:
        return (
            f"the text {match[1]!r} is compared or computed with a {match[2]}, and cannot be"
            " converted to one: compare text with text in single quotes, or make it a number with"
            " toFloat(…)"
        )
    return said


def _no_column(name: str, text: str, tables: Sequence[str]) -> str:
    if f'"{name}"' in text:
        return f"there is no column {name!r}. Text stands in single quotes: '{name}'"
    known = {table: columns_of(table) for table in tables if columns_of(table)}
    near = meant(name, [column for columns in known.values() for column in columns])
    sentences = [f"there is no column {name!r}{near or '.'}"]
    if "events" in tables:
        sentences.append(f"A property is called properties.{name}, or person.properties.{name}.")
    sentences += [f"{table} has {', '.join(columns)}." for table, columns in known.items()]
    return " ".join(sentences)
