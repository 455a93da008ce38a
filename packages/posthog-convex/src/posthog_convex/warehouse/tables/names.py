"""What tables and fields are called in a destination.

Owns the naming. Never forgets: who has a name keeps it, so the first to come stays when another
table or field arrives that destinations could not tell apart from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from posthog_convex.warehouse.tables.ref import TableRef


def table_name(ref: TableRef, taken: Collection[str]) -> str:
    """The destination's name for a table; component path and table are joined by two underscores.

    >>> table_name(TableRef("waitlist/child", "orders"), ())
    'waitlist__child__orders'
    """
    parts = [*ref.component.split("/"), ref.table] if ref.component else [ref.table]
    return free_name("__".join(parts), taken, identity=str(ref))


def free_name(wanted: str, taken: Collection[str], *, identity: str | None = None) -> str:
    """`wanted`, or with a suffix where case-insensitive destinations have it already.

    >>> free_name("Name", {"name"})
    'Name_07f4be'
    """
    lowered = {name.lower() for name in taken}
    if wanted.lower() not in lowered:
        return wanted
    digest = hashlib.blake2b((identity or wanted).encode(), digest_size=16).hexdigest()
    for length in range(6, len(digest) + 1):
        candidate = f"{wanted}_{digest[:length]}"
        if candidate.lower() not in lowered:
            return candidate
    raise ValueError(f"no free name for {wanted!r}")
