"""Saved charts in the store: a name and the address that shows it.

Owns every SQL statement on them.
"""

from __future__ import annotations

import apsw
import msgspec

from posthog_local.store.transaction import Transaction
from posthog_local.store.writer import Job


class SavedChart(msgspec.Struct, frozen=True, kw_only=True):
    """One chart that somebody kept."""

    id: int
    name: str
    address: str
    created_at_us: int


def charts(connection: apsw.Connection) -> list[SavedChart]:
    """Every saved chart, by name."""
    rows = connection.execute("SELECT id, name, address, created_at_us FROM charts ORDER BY name")
    return [
        SavedChart(id=row[0], name=row[1], address=row[2], created_at_us=row[3]) for row in rows
    ]


def save(name: str, address: str, now_us: int) -> Job[None]:
    """A job that keeps a chart; one of the same name gives way."""

    def job(transaction: Transaction) -> None:
        transaction.connection.execute(
            "INSERT INTO charts (name, address, created_at_us) VALUES (?,?,?)"
            " ON CONFLICT (name) DO UPDATE SET address = excluded.address",
            (name, address, now_us),
        )

    return job


def delete(chart_id: int) -> Job[None]:
    """A job that forgets a chart."""

    def job(transaction: Transaction) -> None:
        transaction.connection.execute("DELETE FROM charts WHERE id = ?", (chart_id,))

    return job
