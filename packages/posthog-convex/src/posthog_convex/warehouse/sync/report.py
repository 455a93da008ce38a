"""How a sync stands, in words: lag, the cursor's age, rows, and what needs attention.

Owns the sentences. Never asks a deployment: it tells what the destination says of itself.
Invariant: a warning comes while there is still time to act on it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from posthog_convex.warehouse.plan.progress import Progress
from posthog_convex.warehouse.source.steps import SyncPosition
from posthog_convex.warehouse.tables.selection import names

#: Half of the retention is left to find out why nothing ran.
_WARN_SHARE = 0.5


class Report(msgspec.Struct, frozen=True):
    """Named values, rows by table, and warnings."""

    lines: tuple[tuple[str, str], ...]
    tables: tuple[tuple[str, int], ...]
    warnings: tuple[str, ...]


def reported(
    progress: Progress | None, counts: Mapping[str, int], *, now_ms: float, retention_s: float
) -> Report:
    """The report; `counts` is what the destination shows its readers."""
    if progress is None:
        return Report((("state", "nothing was synced yet"),), (), ())
    age_s = max(now_ms - progress.page_at_ms, 0) / 1000
    export = "data sync" if isinstance(progress.position, SyncPosition) else "legacy export"
    pages = counted(progress.pages, "page")
    lines = [
        ("deployment", f"{progress.deployment} ({export})"),
        ("state", _state(progress)),
        ("lag", _lag(progress, age_s, now_ms)),
        ("cursor age", f"{_span(age_s)} of {_span(retention_s)} that it is good for"),
        (
            "read so far",
            f"{counted(progress.rows, 'revision')} in {pages}",
        ),
        ("mode", progress.mode.value),
    ]
    if progress.restarts:
        lines.append(("begun anew", counted(progress.restarts, "time")))
    tables = tuple((table.name, counts.get(table.name, 0)) for table in progress.published())
    return Report(tuple(lines), tables, tuple(_warnings(progress, age_s, retention_s)))


def counted(number: int, noun: str) -> str:
    """So many of something.

    >>> counted(1, "page"), counted(1200, "page")
    ('1 page', '1,200 pages')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _state(progress: Progress) -> str:
    if progress.shadow:
        return "everything is being read again beside the published tables"
    if progress.snapshot_ts is None:
        return "the first snapshot is not complete yet"
    return "up to date at the last look" if progress.idle else "behind: more is to come"


def _lag(progress: Progress, age_s: float, now_ms: float) -> str:
    if progress.snapshot_ts is None:
        return "no snapshot yet"
    if progress.idle and not progress.shadow:  # however old the last commit is
        return f"none at the last look, {_span(age_s)} ago"
    return f"{_span(max(now_ms / 1000 - progress.snapshot_ts / 1e9, 0))} since the last snapshot"


def _warnings(progress: Progress, age_s: float, retention_s: float) -> list[str]:
    found = []
    if age_s > retention_s:
        found.append("the cursor has probably expired: the next run reads everything again")
    elif age_s > retention_s * _WARN_SHARE:
        left = _span(retention_s - age_s)
        found.append(f"the cursor expires in {left}: run the sync before that")
    found += [
        f"the deployment has no table {table.ref} any more; {table.name} is what it last was"
        for table in progress.tables
        if table.gone
    ]
    found += [
        f"{table.name} was {table.ref} until the deployment dropped it"
        for table in progress.archived
    ]
    found += [
        f"{table.name} is not in the choice of tables any more and stays as it was"
        for table in progress.tables
        if not progress.selection.allows(table.ref)
    ]
    found += [
        f"`include` names {pattern}, and the deployment has shown no such table yet"
        for pattern in progress.selection.include
        if not any(names(pattern, table.ref) for table in progress.tables)
    ]
    if not isinstance(progress.position, SyncPosition | None):
        found.append(
            "the legacy export does not tell when an import replaces a table: after one,"
            " `run --fresh`"
        )
    return found


def _span(seconds: float) -> str:
    """Roughly, as people say it.

    >>> _span(5), _span(7200), _span(14 * 86400)
    ('5 s', '2.0 h', '14.0 days')
    """
    for size, name in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds:.0f} s"
