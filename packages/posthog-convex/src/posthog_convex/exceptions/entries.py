"""An error as `$exception_list`.

Owns the entries: type, text, mechanism, frames. Never raises for what an error does when it is
looked at. One invariant: the error that was reported is the first entry, with id 0, and the others
say which entry they belong to and how.
"""

from __future__ import annotations

from types import FrameType
from typing import Any

from posthog_convex.exceptions.chain import Link, chain
from posthog_convex.exceptions.frames import (
    Frame,
    FrameRules,
    Place,
    each_frame,
    places,
    places_of_call,
    without_app_package,
)
from posthog_convex.exceptions.variables import MAX_TOTAL_CHARS, VariableRules

#: PostHog cuts there too.
MAX_VALUE_CHARS = 10_000
#: Frames of all entries together: about a kilobyte each, and an event has less than one megabyte.
MAX_TOTAL_FRAMES = 300

Entry = dict[str, Any]
Description = list[Entry]


def describe(
    error: BaseException,
    *,
    handled: bool = True,
    rules: FrameRules | None = None,
    variables: VariableRules | None = None,
    caller: FrameType | None = None,
) -> Description:
    """The `$exception_list` of an error.

    `variables` adds the variables of the app's own frames. `caller` stands in for the traceback of
    an error that was never raised.

    >>> [entry["type"] for entry in describe(ValueError("bad"))]
    ['ValueError']
    """
    known = rules or FrameRules()
    entries: Description = []
    frames_left, viewer = MAX_TOTAL_FRAMES, _Viewer(variables)
    for link in chain(error):
        found = places(link.error.__traceback__, known)
        synthetic = link.id == 0 and not found
        if synthetic:
            found = places_of_call(caller, known)
        # What raised it counts most, so the innermost frames stay.
        found = found[-frames_left:] if frames_left else []
        frames_left -= len(found)
        frames = list(each_frame(found, known, viewer.look if variables else None))
        entries.append(_entry(link, frames, known, handled=handled, synthetic=synthetic))
    return entries


class _Viewer:
    """Shows variables until there is enough of them."""

    def __init__(self, rules: VariableRules | None) -> None:
        self._rules = rules
        self._room = MAX_TOTAL_CHARS

    def look(self, place: Place) -> Frame:
        if self._rules is None or self._room <= 0:
            return {}
        shown = self._rules.shown(place.frame.f_locals, self._room)
        self._room -= len(str(shown))
        return {"code_variables": shown} if shown else {}


def _entry(
    link: Link, frames: list[Frame], rules: FrameRules, *, handled: bool, synthetic: bool
) -> Entry:
    mechanism: dict[str, Any] = {"exception_id": link.id, "synthetic": synthetic}
    if link.parent is None:
        mechanism |= {"type": "generic", "handled": handled}
    else:
        mechanism |= {"type": "chained", "source": link.source, "parent_id": link.parent}
    if isinstance(link.error, BaseExceptionGroup):
        mechanism["is_exception_group"] = True
    errno = getattr(link.error, "errno", None)
    if isinstance(errno, int):
        mechanism["meta"] = {"errno": {"number": errno}}
    entry: Entry = {
        "type": type(link.error).__name__,
        "value": _text(link.error),
        "module": _module(type(link.error), rules),
        "mechanism": mechanism,
    }
    if frames:
        entry["stacktrace"] = {"type": "raw", "frames": frames}
    return entry


def _text(error: BaseException) -> str:
    """What the error says, with its notes."""
    if isinstance(error, BaseExceptionGroup):
        text = error.message  # its text counts the members, who have entries of their own
    else:
        try:
            text = str(error)
        except Exception:  # the error's own mistake
            text = f"<unprintable {type(error).__name__}>"
    notes = getattr(error, "__notes__", None)
    if isinstance(notes, list):
        text = "\n".join([text, *(note for note in notes if isinstance(note, str))])
    return text if len(text) <= MAX_VALUE_CHARS else text[: MAX_VALUE_CHARS - 3] + "..."


def _module(kind: type[BaseException], rules: FrameRules) -> str | None:
    """Where the error's class is defined; None for Python's own."""
    if kind.__module__ in ("builtins", "__builtin__"):
        return None
    return without_app_package(kind.__module__, rules) or kind.__module__
