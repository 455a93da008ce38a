"""Reading the stored definitions that an evaluation needs.

Owns the walk from a flag's row to those that it leads to. Never evaluates. One invariant: a row is
read when it is needed and not before, so a query depends on these rows and no others; `all` is the
one exception.
"""

from __future__ import annotations

from posthog_convex.component.compiled import Rows
from posthog_convex.component.functions.tables import GROUP_TYPES, CohortRow, FlagRow, MetaRow
from pyconvex.functions import DatabaseReader


class RowReader:
    """The rows of one function call, each read once."""

    def __init__(self, db: DatabaseReader) -> None:
        self._db = db
        self._flags: dict[str, FlagRow | None] = {}
        self._cohorts: dict[str, CohortRow | None] = {}
        self._group_types: str | None = None
        self._whole = False

    async def all(self) -> list[str]:
        """Read all flags and cohorts in two scans; returns the keys of the flags, sorted."""
        flags = await self._db.query(FlagRow).collect()
        self._flags = {row.key: row for row in flags}
        self._cohorts = {row.cohort_id: row for row in await self._db.query(CohortRow).collect()}
        self._whole = True
        return sorted(self._flags)

    async def rows(self, key: str) -> Rows | None:
        """The flag's row and, breadth first, those that it leads to; None without such a flag."""
        first = await self._flag(key)
        if first is None:
            return None
        rows = Rows(key, {key: first}, {})
        pending: list[FlagRow | CohortRow] = [first]
        for row in pending:
            for name in row.flags:
                if name not in rows.flags and (flag := await self._flag(name)) is not None:
                    rows.flags[name] = flag
                    pending.append(flag)
            for id_ in row.cohorts:
                if id_ not in rows.cohorts and (cohort := await self._cohort(id_)) is not None:
                    rows.cohorts[id_] = cohort
                    pending.append(cohort)
        if any(flag.group_types for flag in rows.flags.values()):
            rows.group_types = await self._types()
        return rows

    async def _flag(self, key: str) -> FlagRow | None:
        if key not in self._flags and not self._whole:
            found = await self._db.query(FlagRow).with_index("by_key", key=key).unique()
            self._flags[key] = found
        return self._flags.get(key)

    async def _cohort(self, id_: str) -> CohortRow | None:
        if id_ not in self._cohorts and not self._whole:
            query = self._db.query(CohortRow).with_index("by_cohort_id", cohort_id=id_)
            self._cohorts[id_] = await query.unique()
        return self._cohorts.get(id_)

    async def _types(self) -> str:
        if self._group_types is None:
            self._group_types = await meta(self._db, GROUP_TYPES) or "{}"
        return self._group_types


async def meta(db: DatabaseReader, name: str) -> str | None:
    """What there is one of, as JSON text; see the names in `tables`."""
    row = await db.query(MetaRow).with_index("by_name", name=name).unique()
    return None if row is None else row.json
