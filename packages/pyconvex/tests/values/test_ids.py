"""Document ids: the reference's vectors, and one text for each id."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.values import DocumentId, InvalidId, ids

COUNTING = bytes(range(16))
VECTORS = [
    (1, COUNTING, "040020g30g2gc1r81450p30d1r7qke8"),
    (127, COUNTING, "fw0020g30g2gc1r81450p30d1r7ze5r"),
    (128, COUNTING, "g00g00820c20a1g7104gm2rc1m70zyds"),
    (10001, COUNTING, "j57000820c20a1g7104gm2rc1m70ynr8"),
    (1, bytes(16), "0400000000000000000000000000248"),
]
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
tables = st.integers(1, 2**32 - 1) | st.integers(1, 20000)
internals = st.binary(min_size=16, max_size=16)


@pytest.mark.parametrize(("table", "internal", "text"), VECTORS)
def test_reference_vectors(table, internal, text):
    assert ids.encode_id(table, internal) == text
    assert ids.decode_id(text) == DocumentId(table, internal)


@given(tables, internals)
def test_round_trip(table, internal):
    text = ids.encode_id(table, internal)
    assert 31 <= len(text) <= 37
    assert ids.decode_id(text) == (table, internal)


@given(tables, internals, st.data())
def test_a_changed_character_is_refused(table, internal, data):
    text = ids.encode_id(table, internal)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from(ALPHABET).filter(lambda char: char != text[place]))
    refuses_or_is_canonical(text[:place] + other + text[place + 1 :])


@given(st.text(ALPHABET, min_size=28, max_size=40))
def test_any_text_is_refused_or_canonical(text):
    refuses_or_is_canonical(text)


def refuses_or_is_canonical(text: str) -> None:
    # Fletcher-16 misses some changes, so a changed id may be an id; it must then be its one text.
    try:
        decoded = ids.decode_id(text)
    except InvalidId:
        return
    assert ids.encode_id(*decoded) == text


@given(tables, internals, st.integers(0, 15), st.integers(1, 255))
def test_one_changed_byte_is_always_noticed(table, internal, place, change):
    # One byte changes the plain sum, whatever the weighted sum does.
    changed = bytearray(internal)
    changed[place] ^= change
    right, wrong = ids.encode_id(table, internal), ids.encode_id(table, bytes(changed))
    body_digits = (len(right) * 5 // 8 - 2) * 8 // 5
    with pytest.raises(InvalidId):
        ids.decode_id(wrong[:body_digits] + right[body_digits:])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Unable to decode ID: Invalid ID length 0"),
        ("j57", "Unable to decode ID: Invalid ID length 3"),
        ("0" * 38, "Unable to decode ID: Invalid ID length 38"),
        ("0" * 33, "Unable to decode ID: Invalid ID length 33"),
        ("0" * 32, "Unable to decode ID: Invalid table number"),
        ("J57000820C20A1G7104GM2RC1M70YNR8", "Unable to decode ID: ID wasn't valid base32"),
        ("j57000820c20a1g7104gm2rc1m70ynr_", "Unable to decode ID: ID wasn't valid base32"),
        ("j57000820c20a1g7104gm2rc1m70ynri", "Unable to decode ID: ID wasn't valid base32"),
        ("j57000820c20a1g7104gm2rc1m70ynré", "Unable to decode ID: ID wasn't valid base32"),
        (" 57000820c20a1g7104gm2rc1m70ynr8", "Unable to decode ID: ID wasn't valid base32"),
        ("+57000820c20a1g7104gm2rc1m70ynr8", "Unable to decode ID: ID wasn't valid base32"),
        ("j57000820c20a1g7104gm2rc1m70ynr9", "Unable to decode ID: Invalid ID version"),
        ("0400000000000000000000000000249", "Unable to decode ID: Invalid ID length 31"),
        ("g00g00820c20a1g7104gm2rc1m70zydsg", "Unable to decode ID: Invalid ID length 33"),
    ],
)
def test_refuses(text, message):
    with pytest.raises(InvalidId) as refused:
        ids.decode_id(text)
    assert str(refused.value).startswith(message)


def test_a_table_number_has_one_way_to_be_written():
    # 1 as two bytes, 81 00, with the checksum of those bytes.
    body = b"\x81\x00" + COUNTING
    text = ids._base32(body + ids._checksum(body))
    with pytest.raises(InvalidId, match="Invalid table number"):
        ids.decode_id(text)


@pytest.mark.parametrize("number", [0, -1, 2**32])
def test_refuses_impossible_table_numbers(number):
    with pytest.raises(InvalidId, match="is not between 1 and 4294967295"):
        ids.encode_id(number, COUNTING)


def test_refuses_internal_ids_of_another_length():
    with pytest.raises(InvalidId, match="has 15 bytes, not 16"):
        ids.encode_id(1, bytes(15))


def test_new_internal_ends_with_the_day_and_follows_the_random():
    first = ids.new_internal(random.Random(1), 20000)
    assert first == ids.new_internal(random.Random(1), 20000)
    assert first != ids.new_internal(random.Random(2), 20000)
    assert (len(first), first[14:]) == (16, (20000).to_bytes(2, "big"))
    assert ids.new_internal(random.Random(1), 65536 + 3)[14:] == b"\x00\x03"
