"""Semantic versions: order with pre-releases, and the ranges that flag conditions name.

Owns parsing and comparison as pure functions; what is no version is None, never an error.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_VERSION = re.compile(
    r"v?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?(?:\.\d+)*(?:-([0-9A-Za-z.-]+))?(?:\+.*)?"
)
_PARTS = re.compile(r"v?(\d{1,9}|\*|x)(?:\.(\d{1,9}|\*|x))?(?:\.(\d{1,9}|\*|x))?")


class Version(NamedTuple):
    """Comparable as a tuple; `release` is 1 for a release and 0 for a pre-release."""

    major: int
    minor: int
    patch: int
    release: int = 1
    pre: tuple[tuple[int, int, str], ...] = ()


def parse(text: str) -> Version | None:
    """The version in `text`; missing parts are 0, leading zeros are dropped.

    >>> parse("v1.2") < parse("1.2.1-rc.1") < parse("1.2.1")
    True
    """
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        return None
    major, minor, patch = (int(part or 0) for part in match.groups()[:3])
    if match[4] is None:
        return Version(major, minor, patch)
    return Version(major, minor, patch, 0, tuple(_identifier(part) for part in match[4].split(".")))


def tilde(text: str) -> tuple[Version, Version] | None:
    """`~1.2.3` as [1.2.3, 1.3.0)."""
    version = parse(text.strip().removeprefix("~"))
    return version and (version, Version(version.major, version.minor + 1, 0))


def caret(text: str) -> tuple[Version, Version] | None:
    """`^1.2.3` as [1.2.3, 2.0.0); with leading zeros the first part that is not zero counts."""
    version = parse(text.strip().removeprefix("^"))
    if version is None:
        return None
    if version.major:
        return version, Version(version.major + 1, 0, 0)
    if version.minor:
        return version, Version(0, version.minor + 1, 0)
    return version, Version(0, 0, version.patch + 1)


def wildcard(text: str) -> tuple[Version, Version] | None:
    """`1.*` as [1.0.0, 2.0.0), `1.2.*` as [1.2.0, 1.3.0), `1.2.3` as [1.2.3, 1.2.4)."""
    match = _PARTS.fullmatch(text.strip())
    if match is None or not match[1].isdigit():
        return None
    major = int(match[1])
    if match[2] is None or not match[2].isdigit():
        return Version(major, 0, 0), Version(major + 1, 0, 0)
    minor = int(match[2])
    if match[3] is None or not match[3].isdigit():
        return Version(major, minor, 0), Version(major, minor + 1, 0)
    return Version(major, minor, int(match[3])), Version(major, minor, int(match[3]) + 1)


def _identifier(part: str) -> tuple[int, int, str]:
    # Numeric identifiers come before others and compare as numbers.
    return (0, int(part), "") if part.isdigit() and part.isascii() else (1, 0, part)
