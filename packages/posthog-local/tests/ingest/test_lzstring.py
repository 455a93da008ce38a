"""LZString bodies, against a straightforward compressor written from the format."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_local.http.refusal import Refusal
from posthog_local.ingest.lzstring import decompress_base64

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_LIMIT = 1_000_000


class _Output:
    def __init__(self) -> None:
        self.bits: list[int] = []

    def write(self, value: int, width: int) -> None:
        self.bits += [(value >> power) & 1 for power in range(width)]

    def text(self) -> str:
        bits = self.bits + [0] * (6 - len(self.bits) % 6)
        sixes = [bits[start : start + 6] for start in range(0, len(bits), 6)]
        return "".join(_ALPHABET[int("".join(map(str, six)), 2)] for six in sixes)


def compress_base64(text: str) -> str:
    """LZString's `compressToBase64` without its padding."""
    output = _Output()
    words: dict[str, int] = {}
    new: set[str] = set()
    word, width, free, size = "", 2, 2.0, 3

    def emit(word: str) -> None:
        nonlocal width, free
        if word in new:
            wide = ord(word[0]) >= 256
            output.write(int(wide), width)
            output.write(ord(word[0]), 16 if wide else 8)
            new.discard(word)
            shrink()
        else:
            output.write(words[word], width)
        shrink()

    def shrink() -> None:
        nonlocal width, free
        free -= 1
        if free == 0:
            free, width = 2**width, width + 1

    for character in text:
        if character not in words:
            words[character] = size
            size += 1
            new.add(character)
        if word + character in words:
            word += character
            continue
        emit(word)
        words[word + character] = size
        size += 1
        word = character
    if word:
        emit(word)
    output.write(2, width)
    return output.text()


@given(st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=200))
@settings(deadline=None)
def test_what_was_compressed_comes_back(text: str) -> None:
    assert decompress_base64(compress_base64(text), _LIMIT) == text


@given(st.lists(st.sampled_from(["ab", "abc", '{"event":"$pageview"}', "é"]), max_size=60))
@settings(deadline=None)
def test_repeating_text_comes_back(parts: list[str]) -> None:
    text = "".join(parts)
    assert decompress_base64(compress_base64(text), _LIMIT) == text


def test_a_body_as_the_javascript_library_writes_it() -> None:
    # LZString.compressToBase64('{"a":1}')
    assert decompress_base64("N4IghiBcCMC+Q===", _LIMIT) == '{"a":1}'


def test_growth_is_bounded() -> None:
    with pytest.raises(Refusal) as refused:
        decompress_base64(compress_base64("a" * 5000), 1000)
    assert refused.value.status == 413
