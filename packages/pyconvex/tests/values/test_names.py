"""What may be a name, and what the refusal says."""

import pytest

from pyconvex.values import InvalidName, names


@pytest.mark.parametrize("name", ["a", "_id", "A9_", "a" * 64])
def test_identifiers(name):
    names.check_identifier(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "Identifier cannot be empty."),
        (
            "9a",
            "Invalid first character '9' in 9a: "
            "Identifiers must start with an alphabetic character or underscore.",
        ),
        (
            "a-b",
            "Identifier a-b has invalid character '-': "
            "Identifiers can only contain alphanumeric characters or underscores.",
        ),
        (
            "aé",
            "Identifier a\\xe9 has invalid character '\\xe9': "
            "Identifiers can only contain alphanumeric characters or underscores.",
        ),
        ("a\n", "Identifier a\\n has invalid character '\\n'"),
        ("a" * 65, "Identifier is too long (65 > maximum 64)."),
        ("__", "Identifier __ cannot have exclusively underscores."),
    ],
)
def test_refused_identifiers(name, message):
    with pytest.raises(InvalidName) as refused:
        names.check_identifier(name)
    assert str(refused.value).startswith(message)


def test_a_name_is_checked_the_second_time_too():
    for _ in range(2):
        names.check_field_names({"fine": 1, "x" * 100: 2})
        with pytest.raises(InvalidName):
            names.check_field_names({"fine": 1, "$bad": 2})
