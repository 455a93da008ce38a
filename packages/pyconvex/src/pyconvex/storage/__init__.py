"""What is on disk: documents, index entries, revisions, queues and replay records.

Bytes in, bytes out. `Store` is the one writer of a data folder, `Reader` a snapshot of it for any
process.
"""

from pyconvex.storage.backup import Backup, BackupRefused, back_up, restore
from pyconvex.storage.errors import FolderRefused, StorageFailure
from pyconvex.storage.folder import database_path
from pyconvex.storage.model import (
    END,
    START,
    Appended,
    DocumentWrite,
    Head,
    IndexEntry,
    IndexKey,
    Position,
    Proposal,
    QueueAppend,
    QueueRow,
    QueueStats,
    Rejected,
    Replay,
    Replayed,
    Revision,
    SetAsideRow,
    StoredReplay,
)
from pyconvex.storage.queues import QueueBounds
from pyconvex.storage.reader import Reader
from pyconvex.storage.store import Store

__all__ = [
    "END",
    "START",
    "Appended",
    "Backup",
    "BackupRefused",
    "DocumentWrite",
    "FolderRefused",
    "Head",
    "IndexEntry",
    "IndexKey",
    "Position",
    "Proposal",
    "QueueAppend",
    "QueueBounds",
    "QueueRow",
    "QueueStats",
    "Reader",
    "Rejected",
    "Replay",
    "Replayed",
    "Revision",
    "SetAsideRow",
    "StorageFailure",
    "Store",
    "StoredReplay",
    "back_up",
    "database_path",
    "restore",
]
