"""A function's view of environment variables.

Owns the mapping that handlers read. Never reads the server's own environment: values come from the
deployment's `env set` or from what the parent bound. One invariant: each read is recorded by the
run that made the view, so that a query re-runs when, and only when, a variable that it read
changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping


class EnvironmentView(Mapping[str, str]):
    """The variables that a function sees, by name.

    >>> view = EnvironmentView(["HOST", "TOKEN"], {"HOST": "https://example.com"}.get)
    >>> view["HOST"], view.get("TOKEN"), "TOKEN" in view
    ('https://example.com', None, False)
    """

    def __init__(self, names: list[str], read: Callable[[str], str | None]) -> None:
        self._names = names
        self._read = read

    def __getitem__(self, name: str) -> str:
        value = self._read(name)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._names if self._read(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<environment: {', '.join(self._names) or 'empty'}>"
