"""Reads what LZString's `compressToBase64` wrote, as old browser SDKs send it.

Owns the bit format only. Never raises anything but `Refusal`, and never grows past
`max_characters`, however small the input was.
"""

from __future__ import annotations

from posthog_local.http.refusal import Refusal

_ALPHABET = {
    character: value
    for value, character in enumerate(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    )
}
_BITS_PER_CHARACTER = 6
_END = 2
# The format's own first three codes: an 8 bit character, a 16 bit character, the end.
_LITERAL_BITS = {0: 8, 1: 16}


class _Bits:
    def __init__(self, text: str) -> None:
        try:
            self._values = [_ALPHABET[character] for character in text.rstrip("=")]
        except KeyError as error:
            raise Refusal(400, "the body is not LZString base64") from error
        self._position = 0

    def read(self, count: int) -> int:
        """The next `count` bits, least significant first, as the format wants."""
        result = 0
        for power in range(count):
            word, offset = divmod(self._position, _BITS_PER_CHARACTER)
            if word >= len(self._values):
                raise Refusal(400, "the LZString body ends too early")
            bit = (self._values[word] >> (_BITS_PER_CHARACTER - 1 - offset)) & 1
            result |= bit << power
            self._position += 1
        return result


def decompress_base64(text: str, max_characters: int) -> str:
    """The text that `LZString.compressToBase64` made `text` from; `Refusal` when it did not."""
    if not text:
        return ""
    units = _decompress(_Bits(text), max_characters)
    return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _decompress(bits: _Bits, max_characters: int) -> str:
    first = bits.read(2)
    if first == _END:
        return ""
    if first not in _LITERAL_BITS:
        raise Refusal(400, "the body is not LZString")
    previous = chr(bits.read(_LITERAL_BITS[first]))
    words = ["", "", "", previous]
    pieces, length = [previous], 1
    width, free = 3, 4
    while True:
        code = bits.read(width)
        if code == _END:
            return "".join(pieces)
        if code in _LITERAL_BITS:
            words.append(chr(bits.read(_LITERAL_BITS[code])))
            code = len(words) - 1
            free -= 1
            if free == 0:
                free, width = 1 << width, width + 1
        word = _word(words, code, previous)
        pieces.append(word)
        length += len(word)
        if length > max_characters:
            raise Refusal(413, "the body is too large once decompressed")
        words.append(previous + word[0])
        free -= 1
        previous = word
        if free == 0:
            free, width = 1 << width, width + 1


def _word(words: list[str], code: int, previous: str) -> str:
    if code < len(words):
        return words[code]
    if code == len(words):
        return previous + previous[0]
    raise Refusal(400, "the LZString body refers to a word that it did not define")
