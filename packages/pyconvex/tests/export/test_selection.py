"""What selections say, and which are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyconvex.export.refusal import ExportRefused
from pyconvex.export.selection import ALL_COLUMNS, Selection


def parse(given: Any) -> Selection:
    return Selection.parse(json.dumps(given))


def test_nothing_said_is_everything() -> None:
    for selection in (Selection(), Selection.parse(None), Selection.parse("null")):
        assert selection.columns("", "users") == ALL_COLUMNS
        assert selection.columns("a/b", "c") == ALL_COLUMNS


def test_each_level_has_others() -> None:
    selection = parse(
        {
            "_other": "excluded",
            "": {
                "_other": "included",
                "users": {"_other": "included", "ssn": "excluded"},
                "log": "excl",
            },
            "waitlist/child": "incl",
            "mail": {"_other": "excl", "sent": {"_other": "excl", "_id": "incl", "at": "incl"}},
        }
    )
    users = selection.columns("", "users")
    assert users is not None
    assert not users.everything
    assert [users.selects(name) for name in ("_id", "name", "ssn")] == [True, True, False]
    assert selection.columns("", "log") is None
    assert selection.columns("", "other") == ALL_COLUMNS
    assert selection.columns("waitlist/child", "any") == ALL_COLUMNS
    assert selection.columns("waitlist", "any") is None
    sent = selection.columns("mail", "sent")
    assert sent is not None
    assert [sent.selects(name) for name in ("_id", "at", "_creationTime")] == [True, True, False]
    assert selection.columns("mail", "other") is None


def test_a_table_named_other_is_never_meant() -> None:
    assert parse({"_other": "incl"}).columns("_other", "users") == ALL_COLUMNS


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (7, "the selection is not an object"),
        ("included", "the selection is not an object"),
        ({}, "does not say what `_other` is"),
        ({"_other": "yes"}, "'yes' is neither"),
        ({"_other": {"_other": "incl"}}, "must be `included` or `excluded`"),
        ({"_other": "incl", "": 7}, "7 is neither"),
        ({"_other": "incl", "": {}}, "component '' does not say"),
        ({"_other": "incl", "": {"_other": "incl", "a": []}}, "[] is neither"),
        ({"_other": "incl", "": {"_other": "incl", "a": {}}}, "table 'a' does not say"),
        (
            {"_other": "incl", "": {"_other": "incl", "a": {"_other": "excl"}}},
            "the column `_id` of table 'a' must stay included",
        ),
        (
            {"_other": "incl", "": {"_other": "incl", "a": {"_other": "incl", "_id": "excl"}}},
            "the column `_id`",
        ),
        (
            {"_other": "incl", "": {"_other": "incl", "a": {"_other": "incl", "b": {}}}},
            "neither included nor excluded",
        ),
    ],
)
def test_a_refused_one_says_why(given: Any, why: str) -> None:
    with pytest.raises(ExportRefused) as refused:
        parse(given)
    assert (refused.value.code, refused.value.status) == ("InvalidDataSyncSelection", 400)
    assert why in refused.value.message


def test_text_that_is_no_json_is_refused() -> None:
    for text in (b"{", b"\xff", b'{"_other":"incl"} x'):
        with pytest.raises(ExportRefused, match="no JSON"):
            Selection.parse(text)
