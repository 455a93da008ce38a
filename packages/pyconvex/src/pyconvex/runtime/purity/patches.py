"""Replacing functions of other modules, and putting them back.

Owns what was replaced and by what. Never decides whether to. One invariant: a function is replaced
under every name that a loaded module has for it, so that `from os import urandom` is no way round,
and `undo` leaves no trace.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

#: They hold originals on purpose.
_SPARED = ("time_machine", "_time_machine", __name__.rpartition(".")[0])
#: Sets by which the standard library tells what a function of `os` can do.
_ABILITIES = (
    "supports_dir_fd",
    "supports_fd",
    "supports_follow_symlinks",
    "supports_effective_ids",
)

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


class Patches:
    """Replacements that are made together and undone together.

    >>> import math
    >>> patches = Patches()
    >>> patches.wrap(math, "sqrt", lambda original: lambda x: original(abs(x)))
    >>> patches.spread()
    >>> math.sqrt(-4)
    2.0
    >>> patches.undo()
    """

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []
        self._functions: dict[int, tuple[object, object]] = {}

    @property
    def made(self) -> bool:
        """Whether there is something to undo."""
        return bool(self._undo)

    def wrap(self, owner: ModuleType, name: str, wrapper: Wrap) -> None:
        """Replace a function by `wrapper(function)`; one that this system lacks is passed over."""
        original = getattr(owner, name, None)
        if original is None:
            return
        replacement = functools.wraps(original)(wrapper(original))
        self._functions[id(original)] = (original, replacement)
        self.set(owner, name, replacement)
        for ability in _ABILITIES if owner is os else ():
            able = getattr(os, ability)
            if original in able:
                able.add(replacement)
                self.also(functools.partial(able.discard, replacement))

    def set(self, owner: object, name: str, value: object) -> None:
        """Set an attribute."""
        before = getattr(owner, name)
        setattr(owner, name, value)
        self._undo.append(functools.partial(setattr, owner, name, before))

    def also(self, undo: Callable[[], object]) -> None:
        """Have something else undone together with the rest."""
        self._undo.append(undo)

    def spread(self) -> None:
        """Replace the wrapped functions under all other names that loaded modules have for them."""
        for module_name, module in list(sys.modules.items()):
            if module_name.startswith(_SPARED) or not isinstance(module, ModuleType):
                continue
            for name, value in list(vars(module).items()):
                found = self._functions.get(id(value))
                if found is not None and found[0] is value:
                    self.set(module, name, found[1])

    def undo(self) -> None:
        """Put everything back, the last first."""
        while self._undo:
            self._undo.pop()()
        self._functions.clear()
