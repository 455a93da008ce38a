"""Version conditions, as the server compares them.

Owns parsing and precedence of semantic versions. Never guesses: a version with build metadata,
which the server orders and PostHog's insights ignore, is not decided here. One invariant: a value
that is no version matches nothing, not even "not equal".
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import NamedTuple

#: True, false, or why this value can't be decided.
VersionCheck = Callable[[str], bool | str]

_MAX_NUMBER = 2**64 - 1
_IDENTIFIERS = re.compile(r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*")
_BUILD = "versions with build metadata need the server"


class Version(NamedTuple):
    """A version; tuples of `pre` order as the specification says, and a release comes after all."""

    major: int
    minor: int
    patch: int
    #: (1,) for a release, else (0, identifiers…), so that plain tuple comparison is precedence.
    pre: tuple[object, ...]

    @property
    def is_release(self) -> bool:
        """Whether there is no pre-release part."""
        return self.pre == _RELEASE


_RELEASE: tuple[object, ...] = (1,)
_COMPARISONS: dict[str, Callable[[Version, Version], bool]] = {
    "semver_eq": operator.eq,
    "semver_neq": operator.ne,
    "semver_gt": operator.gt,
    "semver_gte": operator.ge,
    "semver_lt": operator.lt,
    "semver_lte": operator.le,
}


def parse_version(text: str) -> Version | None:
    """A version, its missing parts read as 0 and leading zeros dropped; None if it is none.

    >>> parse_version("v3.08-beta.2")
    Version(major=3, minor=8, patch=0, pre=(0, ((1, 'beta'), (0, 2))))
    """
    core, dash, pre = text.removeprefix("v").strip().partition("-")
    numbers = [_number(part) for part in core.split(".")]
    if len(numbers) > 3 or None in numbers:
        return None
    major, minor, patch = ([n for n in numbers if n is not None] + [0, 0])[:3]
    if not dash:
        return Version(major, minor, patch, _RELEASE)
    identifiers = _identifiers(pre)
    return None if identifiers is None else Version(major, minor, patch, (0, identifiers))


def semver_check(name: str, wanted: str) -> VersionCheck | str:
    """The check for an operator and its version, or why there is none."""
    if "+" in wanted:
        return _BUILD
    if name in _COMPARISONS:
        return _compare_with(_COMPARISONS[name], wanted)
    if name == "semver_wildcard" and "*" in wanted:
        return _wildcard(wanted)
    base = parse_version(wanted)
    if base is None:
        return f"{wanted!r} is not a version"
    if name == "semver_tilde":
        return _range(base, Version(base.major, base.minor + 1, 0, (0,)))
    if name == "semver_wildcard" and wanted.count(".") < 2:
        # Without a star the server reads a caret, over the parts that are there.
        return f"{wanted!r} has no star and is no full version"
    return _range(base, _caret_end(base))


def _number(part: str) -> int | None:
    if not (part.isascii() and part.isdigit()):
        return None
    number = int(part)
    return number if number <= _MAX_NUMBER else None


def _identifiers(text: str) -> tuple[tuple[int, int | str], ...] | None:
    """Numeric identifiers order before and unlike the others: (0, number) or (1, text)."""
    if not _IDENTIFIERS.fullmatch(text):
        return None
    parts: list[tuple[int, int | str]] = []
    for part in text.split("."):
        if not part.isdigit():
            parts.append((1, part))
        elif len(part) > 1 and part[0] == "0":
            return None
        else:
            parts.append((0, int(part)))
    return tuple(parts)


def _compare_with(compare: Callable[[Version, Version], bool], wanted: str) -> VersionCheck | str:
    bound = parse_version(wanted)
    if bound is None:
        return f"{wanted!r} is not a version"

    def check(text: str) -> bool | str:
        if "+" in text:
            return _BUILD
        version = parse_version(text)
        return version is not None and compare(version, bound)

    return check


def _range(start: Version, end: Version) -> VersionCheck:
    """From `start` to before `end`; a pre-release counts only beside a pre-release `start`."""

    def check(text: str) -> bool | str:
        if "+" in text:
            return _BUILD
        version = parse_version(text)
        if version is None or not start <= version < end:
            return False
        return version.is_release or (not start.is_release and version[:3] == start[:3])

    return check


def _caret_end(base: Version) -> Version:
    if base.major > 0:
        return Version(base.major + 1, 0, 0, (0,))
    if base.minor > 0:
        return Version(0, base.minor + 1, 0, (0,))
    return Version(0, 0, base.patch + 1, (0,))


def _wildcard(wanted: str) -> VersionCheck | str:
    parts = wanted.removeprefix("v").strip().split(".")
    fixed = parts[: parts.index("*")] if "*" in parts else parts
    numbers = [_number(part) for part in fixed]
    if len(parts) > 3 or None in numbers or any(part != "*" for part in parts[len(fixed) :]):
        return f"{wanted!r} is not a version with a star"

    def check(text: str) -> bool | str:
        if "+" in text:
            return _BUILD
        version = parse_version(text)
        if version is None or not version.is_release:
            return False
        return list(version[: len(numbers)]) == numbers

    return check
