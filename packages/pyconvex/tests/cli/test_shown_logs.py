"""How `pyconvex logs` and `dev` put an entry of the log into words."""

from __future__ import annotations

from typing import Any

import click
import pytest

from pyconvex.cli.logs import shown

CONFLICT = {"tableName": "jobs", "documentId": "j57", "writeSource": "lib:work"}
HOPELESS = (
    'Documents read from or written to the "jobs" table changed while this mutation was being run '
    "and on every subsequent retry."
)


def entry(**given: Any) -> dict[str, Any]:
    return {
        "kind": "Completion",
        "udfType": "Mutation",
        "identifier": "lib:work",
        "timestamp": 0.0,
        "logLines": ["[LOG] tried"],
        "error": HOPELESS,
        "occInfo": CONFLICT,
        "willRetry": False,
        **given,
    }


def words(given: dict[str, Any]) -> list[str]:
    return [click.unstyle(line).partition("] ")[2] for line in shown(given, success=False)]


@pytest.mark.parametrize(
    ("conflict", "told"),
    [
        (CONFLICT, "runs again: table jobs (document j57) was changed meanwhile by lib:work"),
        ({"tableName": "jobs"}, "runs again: table jobs was changed meanwhile"),
        ({}, "runs again: what it read was changed meanwhile, perhaps by a deploy"),
        (None, "runs again: what it read was changed meanwhile, perhaps by a deploy"),
    ],
)
def test_an_attempt_that_is_repeated_is_no_error(
    conflict: dict[str, str] | None, told: str
) -> None:
    assert words(entry(occInfo=conflict, willRetry=True)) == ["[LOG] tried", told]


def test_the_last_attempt_is_one() -> None:
    assert words(entry()) == ["[LOG] tried", HOPELESS]
