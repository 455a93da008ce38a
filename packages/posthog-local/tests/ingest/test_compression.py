"""Bodies in every encoding are unpacked, within a bound, or refused."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]  # it has no types
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from posthog_local.http.refusal import Refusal
from posthog_local.ingest import compression
from posthog_local.ingest.compression import unpack

_PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}


def status_of(body: bytes, encoding: str) -> int:
    with pytest.raises(Refusal) as refused:
        unpack(body, encoding)
    return refused.value.status


@given(st.binary(max_size=2000), st.sampled_from(sorted(_PACKERS)))
def test_unpacking_is_the_inverse_of_packing(body: bytes, encoding: str) -> None:
    assert unpack(_PACKERS[encoding](body), encoding) == body


@pytest.mark.parametrize("encoding", sorted(_PACKERS))
def test_a_bomb_is_refused_before_it_is_unpacked(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    bomb = _PACKERS[encoding](b" " * 10_000_000)
    monkeypatch.setattr(compression, "MAX_DECODED_BYTES", 1000)
    assert status_of(bomb, encoding) == 413


@pytest.mark.parametrize("encoding", sorted(_PACKERS))
def test_a_body_that_ends_too_early_is_refused(encoding: str) -> None:
    packed = _PACKERS[encoding](bytes(range(256)) * 40)
    assert status_of(packed[: len(packed) // 2], encoding) == 400


@given(st.binary(max_size=300), st.sampled_from(sorted(_PACKERS)))
def test_any_bytes_are_unpacked_or_refused(body: bytes, encoding: str) -> None:
    try:
        unpack(body, encoding)
    except Refusal as refusal:
        assert refusal.status in (400, 413)  # noqa: PT017  # not raising is right as well


def test_other_encodings_are_refused_by_name() -> None:
    assert status_of(b"{}", "compress") == 415
    assert unpack(b"{}", "gzip") == b"{}"  # a proxy unpacked it and left the header
