"""Streaming export: the tables of a deployment, as they are and as they change, for tools outside.

Owns what a page of an export holds, its cursors and its text, and the process that makes pages.
Never writes to the data folder and never runs app code. One invariant: what was emitted up to a
page that says `stale` or `upToDate` is exactly the deployment's data at that page's timestamp.
"""

from pyconvex.export.active_syncs import ActiveSync, ActiveSyncs
from pyconvex.export.exporter import Exporter
from pyconvex.export.messages import (
    Answer,
    ColumnNames,
    CountDocuments,
    CursorFromDeltas,
    DataSync,
    DocumentDeltas,
    ExportRequest,
    JsonSchemas,
    ListSnapshot,
    Progress,
    SelectionText,
)

__all__ = [
    "ActiveSync",
    "ActiveSyncs",
    "Answer",
    "ColumnNames",
    "CountDocuments",
    "CursorFromDeltas",
    "DataSync",
    "DocumentDeltas",
    "ExportRequest",
    "Exporter",
    "JsonSchemas",
    "ListSnapshot",
    "Progress",
    "SelectionText",
]
