"""The timestamp of a commit that is yet to come: how it is written, ordered and replaced."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.values import (
    COMMIT_TS,
    NO_TABLES,
    Int64,
    InvalidValue,
    MalformedJson,
    ValidationFailed,
    codec,
    order,
    sizes,
    v,
)

int64s = st.integers(-(2**63), 2**63 - 1).map(Int64)
leaves = (
    st.just(COMMIT_TS)
    | int64s
    | st.floats(allow_nan=False)
    | st.sampled_from(["", '{"$commitTs":null}', '"$commitTs"', "\0\x01\t", "\\"])
    | st.sampled_from([b"", b"\x09" + bytes(8), b"\x00\x01"])
    | st.none()
)
documents = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xy"), inner),
        max_leaves=5,
    ),
    max_size=3,
)


def with_ts(value: object, ts: Int64) -> object:
    if value is COMMIT_TS:
        return ts
    if isinstance(value, list):
        return [with_ts(item, ts) for item in value]
    if isinstance(value, dict):
        return {name: with_ts(item, ts) for name, item in value.items()}
    return value


def holds(value: object) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is COMMIT_TS or any(map(holds, parts))


@given(documents, int64s)
def test_a_settled_document_is_the_document_with_the_timestamp(document, ts):
    pending = codec.encode_pending(document)
    assert codec.is_pending(pending) == holds(document)
    assert codec.encode_pending(codec.decode_pending(pending)) == pending
    assert codec.settle(pending, ts) == codec.encode(with_ts(document, ts))


@given(st.lists(documents.map(lambda d: d.get("a")), max_size=4), int64s)
def test_a_settled_key_is_the_key_of_the_timestamp(values, ts):
    key, places = order.encode_key(values), order.pending_places(values)
    assert order.settle_key(key, places, ts) == order.encode_key(with_ts(values, ts))
    assert bool(places) == holds(values)


@given(int64s, st.floats())
def test_it_sorts_behind_every_int64_and_before_every_number(integer, number):
    pending = order.encode_key([COMMIT_TS])
    assert order.encode_key([integer]) < pending < order.encode_key([number])


def test_it_counts_as_an_int64():
    assert sizes.size_of({"a": COMMIT_TS}) == sizes.size_of({"a": Int64(0)})


@pytest.mark.parametrize("format", ["convex_encoded_json", "json", "export_json"])
def test_it_leaves_no_function(format):
    with pytest.raises(InvalidValue, match=r"not known before the mutation commits.*\n?.*\.a"):
        codec.encode_as({"a": COMMIT_TS}, format)


def test_no_client_can_send_it():
    with pytest.raises(InvalidValue):
        codec.decode('{"$commitTs":null}')
    with pytest.raises(MalformedJson, match=r"\$commitTs"):
        codec.decode_pending(b'{"a":{"$commitTs":1}}')


def test_its_validator_takes_it_and_what_it_becomes():
    validator = v.commit_ts()
    assert validator.check(COMMIT_TS, NO_TABLES) is COMMIT_TS
    assert validator.check(Int64(7), NO_TABLES) == 7
    assert validator.json() == {"type": "commitTs"}
    assert str(validator) == "v.commit_ts()"
    for wrong in (7, 7.0, None, "COMMIT_TS"):
        with pytest.raises(ValidationFailed, match=r"Validator: v\.commit_ts\(\)"):
            validator.check(wrong, NO_TABLES)
    with pytest.raises(ValidationFailed, match="Value: commitTs"):
        v.int64().check(COMMIT_TS, NO_TABLES)
