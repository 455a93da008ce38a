"""Tables of a Convex deployment beside events: a sync to DuckDB, Parquet, Delta or through dlt.

Owns reading a deployment's export and writing it where it can be asked. Never imports `pyconvex`:
it serves every Convex deployment. Invariant: what readers find is one snapshot of all tables.
"""

from __future__ import annotations

from posthog_convex.warehouse.refusal import SyncRefused

__all__ = ["SyncRefused"]
