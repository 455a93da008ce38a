"""Which components, tables and columns an export is asked for.

Owns the JSON form of a selection and what it says of a table. Never knows which tables there are.
One invariant: `_id` is a column of every selected table; a selection without it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from pyconvex.export.refusal import ExportRefused

_OTHER = "_other"
_WORDS = {"included": True, "incl": True, "excluded": False, "excl": False}
_FORM = 'A selection is an object such as {"_other":"excluded","":{"_other":"included"}}.'


class Columns(NamedTuple):
    """The columns of one table: those that are named, and whether others are selected too."""

    named: Mapping[str, bool]
    other: bool

    def selects(self, column: str) -> bool:
        """Whether documents keep this field."""
        return self.named.get(column, self.other)

    @property
    def everything(self) -> bool:
        """Whether documents stay as they are."""
        return self.other and all(self.named.values())


ALL_COLUMNS = Columns({}, other=True)


class Selection:
    """What an export is asked for; without `parse`, everything.

    >>> some = Selection.parse('{"_other":"excl","":{"_other":"incl","log":"excl"}}')
    >>> [some.columns(*table) is not None for table in (("", "users"), ("", "log"), ("a", "b"))]
    [True, False, False]
    """

    def __init__(
        self, components: Mapping[str, Mapping[str, Columns | None]] | None = None
    ) -> None:
        #: By component and table, `_other` included, what is selected; None for nothing.
        self._components = {_OTHER: {_OTHER: ALL_COLUMNS}} if components is None else components

    @classmethod
    def only(cls, component: str | None, table: str | None) -> Selection:
        """One table of a component (of the app, if None), or one component, or everything."""
        if table is not None:
            chosen: dict[str, Columns | None] = {_OTHER: None, table: ALL_COLUMNS}
            return cls({_OTHER: {_OTHER: None}, component or "": chosen})
        if component is not None:
            return cls({_OTHER: {_OTHER: None}, component: {_OTHER: ALL_COLUMNS}})
        return cls()

    @classmethod
    def parse(cls, text: bytes | str | None) -> Selection:
        """Read the JSON form; None is everything. Raises `ExportRefused`."""
        if text is None:
            return cls()
        try:
            given = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise refused(f"it is no JSON: {error}") from None
        if given is None:
            return cls()
        where = "the selection"
        return cls({name: _tables(name, part) for name, part in _level(where, given).items()})

    def columns(self, component: str, table: str) -> Columns | None:
        """The selected columns of a table; None when the table is not selected."""
        tables = self._components.get(component, self._components[_OTHER])
        return tables.get(table, tables[_OTHER])


def refused(why: str) -> ExportRefused:
    """The error for a selection that can't be read."""
    return ExportRefused("InvalidDataSyncSelection", f"Invalid selection: {why}. {_FORM}")


def _tables(component: str, given: object) -> dict[str, Columns | None]:
    word = _word(given)
    if word is not None:
        return {_OTHER: ALL_COLUMNS if word else None}
    where = f"component {component!r}"
    return {name: _columns(name, part) for name, part in _level(where, given).items()}


def _columns(table: str, given: object) -> Columns | None:
    word = _word(given)
    if word is not None:
        return ALL_COLUMNS if word else None
    named: dict[str, bool] = {}
    for name, part in _level(f"table {table!r}", given).items():
        chosen = _word(part)
        if chosen is None:
            raise refused(f"column {name!r} of table {table!r} is neither included nor excluded")
        named[name] = chosen
    columns = Columns(named, named.pop(_OTHER))
    if not columns.selects("_id"):
        raise refused(f"the column `_id` of table {table!r} must stay included")
    return columns


def _word(given: object) -> bool | None:
    """What a word says; None for an object, which says it in parts."""
    if isinstance(given, dict):
        return None
    if isinstance(given, str) and given in _WORDS:
        return _WORDS[given]
    raise refused(f"{given!r} is neither `included` nor `excluded`")


def _level(where: str, given: object) -> dict[str, object]:
    if not isinstance(given, dict):
        raise refused(f"{where} is not an object")
    if _OTHER not in given:
        raise refused(f"{where} does not say what `_other` is")
    if isinstance(given[_OTHER], dict):
        raise refused(f"`_other` of {where} must be `included` or `excluded`")
    return given
