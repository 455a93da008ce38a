"""Documents come out of Arrow as they went in, whatever their fields hold."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from fake_convex import Document, exported
from hypothesis import given
from hypothesis import strategies as st
from warehouse_worlds import assert_same, documents

from posthog_convex.warehouse.documents import decoding
from posthog_convex.warehouse.documents.columns import Kind, Schema
from posthog_convex.warehouse.documents.decoding import Revisions
from posthog_convex.warehouse.refusal import SyncRefused

INT64 = st.integers(-(2**63), 2**63 - 1)
SCALARS = st.one_of(st.none(), st.booleans(), INT64, st.floats(), st.text(), st.binary())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=5,
)
DOCUMENTS = st.fixed_dictionaries(
    {}, optional={name: VALUES for name in ("a", "A", "field")} | {"n": INT64, "f": st.floats()}
)


def batch(*found: Document) -> Revisions:
    texts = [
        json.dumps(exported({"_id": f"id{number}", "_creationTime": 1.5e12 + number, **document}))
        for number, document in enumerate(found)
    ]
    raws = [msgspec.Raw(text.encode()) for text in texts]
    return Revisions([1] * len(raws), [False] * len(raws), raws)


def state_of(*found: Document) -> dict[str, Document]:
    return {
        f"id{number}": {"_id": f"id{number}", "_creationTime": 1.5e12 + number, **document}
        for number, document in enumerate(found)
    }


@given(st.lists(DOCUMENTS, min_size=1, max_size=6))
def test_documents_come_out_as_they_went_in(found: list[Document]) -> None:
    table, schema = decoding.decode(batch(*found), Schema())
    rows = table.to_pylist()
    assert_same({("", "t"): documents(rows, schema.columns)}, {("", "t"): state_of(*found)})
    assert decoding.decode(batch(*found), schema)[1] == schema, "what was learned fits"


@given(st.lists(DOCUMENTS, min_size=1, max_size=4), st.lists(DOCUMENTS, min_size=1, max_size=4))
def test_a_schema_only_widens(first: list[Document], second: list[Document]) -> None:
    _, narrow = decoding.decode(batch(*first), Schema())
    _, wide = decoding.decode(batch(*second), narrow)
    assert [column.name for column in wide.columns][: len(narrow.columns)] == [
        column.name for column in narrow.columns
    ]
    assert decoding.decode(batch(*first), wide)[1] == wide


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], Kind.INT),
        ([1, 1.0], Kind.FLOAT),
        ([2**53 + 1, 1.0], Kind.JSON),
        ([1.5, 2**53 + 1], Kind.JSON),
        ([1.5, 2**53], Kind.FLOAT),
        ([1.0, math.nan], Kind.FLOAT),
        ([True, 1], Kind.JSON),
        (["1", 1], Kind.JSON),
        (["x", None], Kind.TEXT),
        ([b"x", "x"], Kind.JSON),
        ([None], Kind.VOID),
        ([[], {}], Kind.JSON),
    ],
)
def test_promotion(values: list[Any], kind: Kind) -> None:
    schema = Schema()
    for value in values:
        _, schema = decoding.decode(batch({"v": value}), schema)
    assert schema.columns[0].kind is kind
    assert (
        decoding.decode(batch(*({"v": value} for value in values)), Schema())[1].columns[0].kind
        is kind
    )


def test_wide_integers_are_remembered_without_a_surprise() -> None:
    _, schema = decoding.decode(batch({"v": 1}), Schema())
    _, schema = decoding.decode(batch({"v": 2**60}), schema)
    _, schema = decoding.decode(batch({"v": 0.5}), schema)
    assert schema.columns[0].kind is Kind.JSON


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        b"{",
        b'{"_id": 1}',
        b'{"_id": "x", "n": 99999999999999999999}',
        b'{"_id":"x"},{}',
        b"",
    ],
)
def test_what_is_no_document_is_a_sentence(text: bytes) -> None:
    with pytest.raises(SyncRefused, match="cannot be read") as caught:
        decoding.decode(Revisions([1], [False], [msgspec.Raw(text)]), Schema())
    assert caught.value.code == "corrupt_page"
