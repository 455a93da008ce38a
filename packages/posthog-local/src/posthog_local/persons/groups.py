"""Groups: up to five types of them, each numbered when it is first seen.

Owns PostHog's group rules over a `GroupShelf`; never talks SQL. Invariant: a group type keeps its
number for as long as the data lives.
"""

from __future__ import annotations

from typing import Any, Protocol

MAX_GROUP_TYPES = 5
MAX_GROUP_KEY_CHARACTERS = 400


class GroupShelf(Protocol):
    """Where groups are kept; every call is inside the caller's transaction."""

    def group_types(self) -> dict[str, int]: ...
    def add_group_type(self, name: str, index: int) -> None: ...
    def group(self, index: int, key: str) -> dict[str, Any] | None: ...
    def save_group(
        self, index: int, key: str, properties: dict[str, Any], created_at_us: int
    ) -> None: ...


class Groups:
    """Numbers group types and merges what is said about groups."""

    def __init__(self, shelf: GroupShelf) -> None:
        self._shelf = shelf
        self._types: dict[str, int] | None = None

    def type_index(self, name: str) -> int | None:
        """The number of this group type, given now if it is new; None when all five are taken."""
        types = self._known_types()
        index = types.get(name)
        if index is None and len(types) < MAX_GROUP_TYPES:
            index = len(types)
            self._shelf.add_group_type(name, index)
            types[name] = index
        return index

    def keys_of(self, groups: object) -> dict[int, str]:
        """`$groups` of an event as group number to group key; what has no number is left out."""
        if not isinstance(groups, dict):
            return {}
        keys: dict[int, str] = {}
        for name, key in groups.items():
            index = self.type_index(name)
            if index is not None and key is not None:
                keys[index] = str(key)[:MAX_GROUP_KEY_CHARACTERS]
        return keys

    def unnumbered(self, groups: object) -> list[str]:
        """The types in `$groups` that came too late to get a number."""
        if not isinstance(groups, dict):
            return []
        return [name for name in groups if self.type_index(name) is None]

    def identify(self, index: int, key: str, properties: object, created_at_us: int) -> None:
        """Adds `properties` to what is known about the group, which exists from now on."""
        given = properties if isinstance(properties, dict) else {}
        known = self._shelf.group(index, key)
        if known is None or any(known.get(name) != value for name, value in given.items()):
            self._shelf.save_group(index, key, {**(known or {}), **given}, created_at_us)

    def forget(self) -> None:
        """Drops what was remembered; the shelf is the truth again."""
        self._types = None

    def _known_types(self) -> dict[str, int]:
        if self._types is None:
            self._types = self._shelf.group_types()
        return self._types
