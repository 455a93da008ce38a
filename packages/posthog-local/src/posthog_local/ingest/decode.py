"""The bytes of a request become JSON: forms, base64, gzip, LZString, in PostHog's order.

Owns nothing but that order; it does no I/O and knows no event. Whatever the bytes are, it returns a
JSON value or raises `Refusal` with a documented status: malformed input is never an internal error.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from urllib.parse import parse_qs

import msgspec

from posthog_local.http.refusal import Refusal
from posthog_local.ingest.compression import GZIP_MAGIC, MAX_DECODED_BYTES, gunzip
from posthog_local.ingest.lzstring import decompress_base64

# Only SDKs of years ago send LZString; it is unpacked bit by bit, which must not take long.
MAX_LZSTRING_BYTES = 1024 * 1024

_GZIP = frozenset({"gzip", "gzip-js"})
_LZ = frozenset({"lz64", "lz-string"})
_BASE64 = frozenset({"base64", "b64"})
_PLAIN = frozenset({"", "identity"})


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it came: what decides how its body is read.

    `legacy` marks the routes where text that still looks like base64 is decoded once more.
    """

    method: str
    query: Mapping[str, str]
    content_type: str
    content_encoding: str
    body: bytes
    legacy: bool = False


def decode(payload: Payload) -> object:
    """The JSON value that the request carries.

    Raises `Refusal` (400, or 413 for a body that unpacks beyond `MAX_DECODED_BYTES`).

    >>> plain = {"query": {}, "content_type": "", "content_encoding": ""}
    >>> decode(Payload(method="POST", body=b'{"a":1}', **plain))
    {'a': 1}
    """
    body, form_hint = _raw_body(payload)
    if not body:
        raise Refusal(400, "empty payload: send events as JSON")
    hint = form_hint or payload.query.get("compression", "") or payload.content_encoding
    text = _decompress(body, hint.strip().lower())
    if payload.legacy and not _looks_like_json(text):
        text = _gunzip_by_magic(_base64(text))
    return parse_json(text)


def parse_json(text: bytes) -> object:
    """`text` as JSON, tolerating a byte order mark and lone surrogates, which browsers do send."""
    try:
        return msgspec.json.decode(text.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError):
        pass
    if b"\\ud" not in text and b"\\uD" not in text:
        raise Refusal(400, "the payload is not valid JSON")
    try:
        mended = json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8", "replace")
        return msgspec.json.decode(mended)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Refusal(400, "the payload is not valid JSON") from error


def _raw_body(payload: Payload) -> tuple[bytes, str]:
    if payload.method == "GET":
        return payload.query.get("data", "").replace(" ", "+").encode(), ""
    is_form = payload.content_type.startswith("application/x-www-form-urlencoded")
    if payload.body.startswith(b"data=") or (is_form and b"data=" in payload.body[:4096]):
        return _form_fields(payload.body)
    return payload.body, ""


def _form_fields(body: bytes) -> tuple[bytes, str]:
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=100)
    except ValueError as error:
        raise Refusal(400, "the form body cannot be read") from error
    data = fields.get("data", [""])[0].encode("utf-8", "replace")
    if not data.lstrip().startswith((b"{", b"[")):
        data = data.replace(b" ", b"+")
    return data, fields.get("compression", [""])[0]


def _decompress(body: bytes, hint: str) -> bytes:
    if body.startswith(GZIP_MAGIC):
        return gunzip(body)
    if hint in _PLAIN:
        return body
    if hint in _GZIP:
        # Also reached by a gzip body that a proxy already unpacked: then it is plain JSON.
        return body if _looks_like_json(body) else gunzip(body)
    if hint in _BASE64:
        return _gunzip_by_magic(_base64(body))
    if hint in _LZ:
        return _unpack_lzstring(body)
    raise Refusal(400, "unsupported compression: use gzip, base64 or lz64")


def _gunzip_by_magic(body: bytes) -> bytes:
    return gunzip(body) if body.startswith(GZIP_MAGIC) else body


def _base64(text: bytes) -> bytes:
    compact = text.strip().replace(b"-", b"+").replace(b"_", b"/").rstrip(b"=")
    try:
        return base64.b64decode(compact + b"=" * (-len(compact) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(400, "the body is neither JSON nor valid base64") from error


def _unpack_lzstring(body: bytes) -> bytes:
    if len(body) > MAX_LZSTRING_BYTES:
        raise Refusal(413, "LZString bodies end at 1 MB; send gzip")
    try:
        text = body.decode("ascii").replace(" ", "+")
    except UnicodeDecodeError as error:
        raise Refusal(400, "the body is not LZString base64") from error
    return decompress_base64(text.strip(), MAX_DECODED_BYTES).encode("utf-8", "replace")


def _looks_like_json(text: bytes) -> bool:
    return text.lstrip()[:1] in (b"{", b"[")
