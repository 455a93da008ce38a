"""Every way in which an SDK packs a body gives the same JSON; all else is a refusal."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_local.http.refusal import Refusal
from posthog_local.ingest import compression
from posthog_local.ingest.decode import Payload, decode

_SCALARS = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=20)
_DOCUMENTS = st.dictionaries(
    st.text(max_size=10), st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3))
) | st.lists(st.dictionaries(st.text(max_size=5), _SCALARS), max_size=3)


def payload(body: bytes, **changes: Any) -> Payload:
    plain: dict[str, Any] = {
        "method": "POST",
        "query": {},
        "content_type": "application/json",
        "content_encoding": "",
        "body": body,
    }
    return Payload(**{**plain, **changes})


def _plain(text: bytes) -> Payload:
    return payload(text)


def _gzip_without_hint(text: bytes) -> Payload:
    return payload(gzip.compress(text), content_type="text/plain")


def _gzip_by_header(text: bytes) -> Payload:
    return payload(gzip.compress(text), content_encoding="gzip")


def _gzip_js_by_query(text: bytes) -> Payload:
    return payload(gzip.compress(text), query={"compression": "gzip-js"})


def _gzip_hint_on_plain(text: bytes) -> Payload:
    return payload(text, content_encoding="gzip")


def _base64_by_query(text: bytes) -> Payload:
    return payload(base64.b64encode(text), query={"compression": "base64"})


def _form(text: bytes) -> Payload:
    fields = urlencode({"data": base64.b64encode(text).decode(), "compression": "base64"})
    return payload(fields.encode(), content_type="application/x-www-form-urlencoded")


def _form_with_spaces(text: bytes) -> Payload:
    # Some clients do not escape the plus of base64, so it arrives as a space.
    data = quote_plus(base64.b64encode(text).decode()).replace("%2B", "+")
    return payload(f"data={data}&compression=base64".encode(), content_type="text/plain")


def _plain_form(text: bytes) -> Payload:
    return payload(urlencode({"data": text.decode()}).encode())


def _base64_on_a_legacy_route(text: bytes) -> Payload:
    return payload(base64.b64encode(text), legacy=True)


def _query_of_get(text: bytes) -> Payload:
    query = {"data": base64.b64encode(text).decode(), "compression": "base64"}
    return payload(b"", method="GET", query=query)


@pytest.mark.parametrize(
    "pack",
    [
        _plain,
        _gzip_without_hint,
        _gzip_by_header,
        _gzip_js_by_query,
        _gzip_hint_on_plain,
        _base64_by_query,
        _form,
        _form_with_spaces,
        _plain_form,
        _base64_on_a_legacy_route,
        _query_of_get,
    ],
)
@given(document=_DOCUMENTS)
@settings(max_examples=40, deadline=None)
def test_every_packing_gives_the_document(pack: Any, document: object) -> None:
    text = json.dumps(document).encode()
    assert decode(pack(text)) == document


@given(
    body=st.binary(max_size=200) | st.binary(max_size=100).map(gzip.compress),
    encoding=st.sampled_from(["", "gzip", "base64", "lz64", "gzip-js", "zstd", "br"]),
    content_type=st.sampled_from(["", "text/plain", "application/x-www-form-urlencoded"]),
    legacy=st.booleans(),
    as_form=st.booleans(),
)
@settings(max_examples=600, deadline=None)
def test_malformed_bytes_are_refused_with_a_documented_status(
    body: bytes, encoding: str, content_type: str, legacy: bool, as_form: bool
) -> None:
    body = b"data=" + body if as_form else body
    given_payload = payload(
        body, content_encoding=encoding, content_type=content_type, legacy=legacy
    )
    try:
        decode(given_payload)
    except Refusal as refusal:
        assert refusal.status in (400, 413)  # noqa: PT017  # not raising is right as well


def test_the_form_hint_wins_over_query_and_header() -> None:
    fields = urlencode({"data": base64.b64encode(b'{"a":1}').decode(), "compression": "base64"})
    chosen = payload(fields.encode(), query={"compression": "lz64"}, content_encoding="br")
    assert decode(chosen) == {"a": 1}


def test_base64_without_a_hint_is_not_decoded_on_new_routes() -> None:
    with pytest.raises(Refusal) as refused:
        decode(payload(base64.b64encode(b'{"a":1}')))
    assert refused.value.status == 400


def test_lone_surrogates_and_a_byte_order_mark_are_tolerated() -> None:
    assert decode(payload(b'\xef\xbb\xbf{"a":"x\\ud800y"}')) == {"a": "x?y"}


def test_a_gzip_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "MAX_DECODED_BYTES", 1000)
    with pytest.raises(Refusal) as refused:
        decode(payload(gzip.compress(b" " * 100_000)))
    assert refused.value.status == 413


@pytest.mark.parametrize("body", [b"[" * 100_000, b"", b"1e999", b"123" * 5000, b'{"a":NaN}'])
def test_hostile_json_is_a_refusal(body: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        decode(payload(body))
    assert refused.value.status == 400
