"""Compressed bodies, unpacked within a bound.

Owns the formats: gzip, deflate, br, zstd. Never unpacks more than the bound: a body may say a
thousand times its size. A damaged body is a `Refusal` 400, one that is too large a `Refusal` 413.
"""

from __future__ import annotations

import zlib

import brotli  # type: ignore[import-untyped]  # it has no types
import zstandard

from posthog_local.http.refusal import Refusal

MAX_DECODED_BYTES = 64 * 1024 * 1024
GZIP_MAGIC = b"\x1f\x8b\x08"
_DAMAGED = "the compressed body is damaged"
_CUT = "the compressed body ends too early"
_TOO_LARGE = "the body is too large once decompressed"


def gunzip(body: bytes) -> bytes:
    """Bytes of gzip."""
    return _inflate(body, zlib.decompressobj(wbits=31))


def unpack(body: bytes, encoding: str) -> bytes:
    """A body by its `Content-Encoding`; gzip is also known by its first bytes.

    Raises `Refusal` 415 for an encoding that is none of these.

    >>> unpack(zlib.compress(b"text"), "deflate")
    b'text'
    """
    if body.startswith(GZIP_MAGIC):
        return gunzip(body)
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip":
            # Plain JSON here means that a proxy unpacked it and left the header.
            return body if body.lstrip()[:1] in (b"{", b"[") else gunzip(body)
        case "deflate":
            return _inflate(body, zlib.decompressobj())
        case "br":
            return _brotli(body)
        case "zstd":
            return _zstd(body)
        case other:
            choices = "gzip, deflate, br or zstd"
            raise Refusal(415, f"content-encoding {other!r} is not supported: use {choices}")


def _inflate(body: bytes, unpacker: zlib._Decompress) -> bytes:
    try:
        text = unpacker.decompress(body, MAX_DECODED_BYTES)
    except zlib.error as error:
        raise Refusal(400, _DAMAGED) from error
    if unpacker.unconsumed_tail:
        raise Refusal(413, _TOO_LARGE)
    if not unpacker.eof:
        raise Refusal(400, _CUT)
    return text


def _brotli(body: bytes) -> bytes:
    unpacker = brotli.Decompressor()
    try:
        text = bytes(unpacker.process(body, output_buffer_limit=MAX_DECODED_BYTES))
    except brotli.error as error:
        raise Refusal(400, _DAMAGED) from error
    if not unpacker.can_accept_more_data():
        raise Refusal(413, _TOO_LARGE)
    if not unpacker.is_finished():
        raise Refusal(400, _CUT)
    return text


def _zstd(body: bytes) -> bytes:
    try:
        announced = zstandard.frame_content_size(body)
        text = zstandard.ZstdDecompressor().stream_reader(body).read(MAX_DECODED_BYTES + 1)
    except (zstandard.ZstdError, MemoryError) as error:
        raise Refusal(400, _DAMAGED) from error
    if len(text) > MAX_DECODED_BYTES:
        raise Refusal(413, _TOO_LARGE)
    if announced > len(text):
        raise Refusal(400, _CUT)
    return text
