"""OTLP requests, against bytes that the official protobuf library wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_local.http.refusal import Refusal
from posthog_local.logs.record import log_record
from posthog_local.otlp.protobuf import Malformed, read_message
from posthog_local.otlp.request import attributes_of, plain, read_logs, read_spans

# Written by opentelemetry-proto 1.45 (SerializeToString), from the values asserted below.
LOGS = bytes.fromhex(
    "0aed010a180a160a0c736572766963652e6e616d6512060a0473686f7012d0010a0b0a066f726465"
    "727312013112c001090000faed5172861810111a054552524f522a0b0a096661696c656420c3a932"
    "190a11706f7374686f6744697374696e6374496412040a02753132100a016e120b18fbffffffffff"
    "ffffff01320e0a0164120921000000000000044032070a016212021001320b0a0372617712043a02"
    "000132130a046c697374120b2a090a0218010a030a016132120a036d6170120b32090a070a016b12"
    "02180245010000004a10000102030405060708090a0b0c0d0e0f5208000102030405060762026576"
)
TRACE = bytes.fromhex(
    "0ad2010a180a160a0c736572766963652e6e616d6512060a0473686f7012b5010a040a02616912ac"
    "010a10000102030405060708090a0b0c0d0e0f12080001020304050607220800000000000000002a"
    "04636861743003390000faed5172861841002f6247527286184a1f0a1567656e5f61692e6f706572"
    "6174696f6e2e6e616d6512060a04636861745a2b0901000000000000001209657863657074696f6e"
    "1a150a0e657863657074696f6e2e7479706512030a01456a120a1000000000000000000000000000"
    "0000007a081204626f6f6d1802"
)
_TRACE_ID = "000102030405060708090a0b0c0d0e0f"


def test_log_records_of_protobuf() -> None:
    [item] = read_logs(LOGS)
    assert item.resource == {"service.name": "shop"}
    assert (item.scope_name, item.scope_version) == ("orders", "1")
    assert attributes_of(item.record) == {
        "posthogDistinctId": "u1",
        "n": -5,
        "d": 2.5,
        "b": True,
        "raw": "AAE=",
        "list": [1, "a"],
        "map": {"k": 2},
    }
    record = {name: value for name, value in item.record.items() if name != "attributes"}
    assert record == {
        "timeUnixNano": 1767225600000000000,
        "severityNumber": 17,
        "severityText": "ERROR",
        "body": {"stringValue": "failed é"},
        "flags": 1,
        "traceId": _TRACE_ID,
        "spanId": "0001020304050607",
        "eventName": "ev",
    }


def test_spans_of_protobuf() -> None:
    [item] = read_spans(TRACE)
    assert item.record["name"] == "chat"
    assert item.record["traceId"] == _TRACE_ID
    assert item.record["status"] == {"code": 2, "message": "boom"}
    assert attributes_of(item.record) == {"gen_ai.operation.name": "chat"}
    assert attributes_of(item.record["events"][0]) == {"exception.type": "E"}


def _json_log(body: str) -> str:
    record = {"timeUnixNano": "5", "body": {"stringValue": body}}
    service = {"key": "service.name", "value": {"stringValue": "shop"}}
    group = {"resource": {"attributes": [service]}, "scopeLogs": [{"logRecords": [record]}]}
    return json.dumps({"resourceLogs": [group]})


def test_json_and_lines_of_json() -> None:
    one = read_logs(_json_log("a").encode())
    assert [plain(item.record["body"]) for item in one] == ["a"]
    two = read_logs(f"{_json_log('a')}\n{_json_log('b')}\n".encode())
    assert [plain(item.record["body"]) for item in two] == ["a", "b"]
    assert two[0].resource == {"service.name": "shop"}


@pytest.mark.parametrize("body", [b"", b"{", b"{}\n[]", b"\xff\xff", b'{"a":1}x'])
def test_what_is_no_otlp_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        read_logs(body)
    assert refused.value.status == 400


def test_endless_nesting_is_malformed() -> None:
    body = b""
    for _ in range(200):
        body = b"\x2a" + _length(body) + body  # an AnyValue whose array...
        body = b"\x0a" + _length(body) + body  # ...holds an AnyValue
    with pytest.raises(Malformed):
        read_message(body, "ArrayValue")


def _length(body: bytes) -> bytes:
    size, out = len(body), b""
    while size >= 0x80:
        out += bytes([size & 0x7F | 0x80])
        size >>= 7
    return out + bytes([size])


@given(st.binary(max_size=80), st.integers(0, len(LOGS)), st.integers(0, len(LOGS)))
@settings(max_examples=800)
def test_damaged_bytes_are_read_or_refused(noise: bytes, start: int, end: int) -> None:
    for body in (noise, LOGS[:start] + noise + LOGS[end:], TRACE[:start] + noise + TRACE[end:]):
        for read in (read_logs, read_spans):
            try:
                items = read(body)
            except Refusal as refusal:
                assert refusal.status == 400  # noqa: PT017  # not raising is right as well
            else:
                assert all(log_record(item, 0).severity for item in items)


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["intValue", "arrayValue", "kvlistValue", "values", "key", "value"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(_JSON)
def test_any_value_becomes_plain(value: Any) -> None:
    plain(value)
