"""Property values as the text that PostHog compares.

Owns the text of a JSON value: strings as they are, the rest as canonical JSON. Never compares.
One invariant: a number that came from a caller reads as JavaScript and Convex write it, so 18.0 is
"18"; a number in a definition keeps the form that it has there.
"""

from __future__ import annotations

import json
import math

from posthog_convex.flags.verdict import Json

_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
#: Whole numbers up to here are exact in a double.
_EXACT_INTEGERS = 2**53


def text_of_filter(value: Json) -> str | None:
    """The text of a definition's value, or None for a value that JSON can't hold."""
    return value if isinstance(value, str) else _json(value, whole_floats_as_int=False)


def text_of_property(value: Json) -> str | None:
    """The text of a caller's value, or None for a value that JSON can't hold."""
    return value if isinstance(value, str) else _json(value, whole_floats_as_int=True)


def ascii_lower(text: str) -> str:
    """Lower case for ASCII letters alone, as the server folds for contains, prefix and suffix.

    >>> ascii_lower("ÄPFEL")
    'Äpfel'
    """
    return text.lower() if text.isascii() else text.translate(_ASCII_LOWER)


def _json(value: Json, *, whole_floats_as_int: bool) -> str | None:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case int():
            return int.__repr__(value)
        case float():
            return _float(value, whole_floats_as_int)
        case list() | tuple():
            return _list(value, whole_floats_as_int)
        case dict():
            return _object(value, whole_floats_as_int)
        case _:
            return None


def _float(value: float, whole_as_int: bool) -> str | None:
    if not math.isfinite(value):
        return None
    if whole_as_int and value.is_integer() and abs(value) <= _EXACT_INTEGERS:
        return str(int(value))
    text = repr(value)
    mantissa, e, exponent_text = text.partition("e")
    if not e:
        return text
    exponent = int(exponent_text)
    if -6 < exponent < 0:
        # The server writes these without an exponent, one step longer than Python does.
        return f"{value:.{len(mantissa.replace('.', '').lstrip('-')) - 1 - exponent}f}"
    return f"{mantissa}e{exponent:+d}"


def _list(values: list[Json] | tuple[Json, ...], whole_as_int: bool) -> str | None:
    texts = [_json(value, whole_floats_as_int=whole_as_int) for value in values]
    known = [text for text in texts if text is not None]
    return f"[{','.join(known)}]" if len(known) == len(texts) else None


def _object(value: dict[Json, Json], whole_as_int: bool) -> str | None:
    items: list[str] = []
    if not all(isinstance(key, str) for key in value):
        return None
    for key in sorted(value):
        text = _json(value[key], whole_floats_as_int=whole_as_int)
        if text is None:
            return None
        items.append(f"{json.dumps(key, ensure_ascii=False)}:{text}")
    return "{" + ",".join(items) + "}"
