"""Transactions over a snapshot, and the decision which of them become commits.

`Transaction` reads and buffers, `Committer` judges its proposal, `Subscriptions` tell who must be
re-run.
"""

from pyconvex.database import jobs
from pyconvex.database.bounds import EVERYTHING, Bound, Bounds
from pyconvex.database.catalog import Catalog
from pyconvex.database.committer import CommitOutcome, Committed, Committer, Conflict
from pyconvex.database.draft import DocumentCheck
from pyconvex.database.errors import DatabaseError
from pyconvex.database.limits import Usage
from pyconvex.database.namespace import Namespace
from pyconvex.database.reads import ReadSet, Stretch
from pyconvex.database.registry import ComponentRow, all_components
from pyconvex.database.subscriptions import Subscription, Subscriptions
from pyconvex.database.transaction import Transaction
from pyconvex.database.writelog import OutOfRetention, Overlap, WriteLog

__all__ = [
    "EVERYTHING",
    "Bound",
    "Bounds",
    "Catalog",
    "CommitOutcome",
    "Committed",
    "Committer",
    "ComponentRow",
    "Conflict",
    "DatabaseError",
    "DocumentCheck",
    "Namespace",
    "OutOfRetention",
    "Overlap",
    "ReadSet",
    "Stretch",
    "Subscription",
    "Subscriptions",
    "Transaction",
    "Usage",
    "WriteLog",
    "all_components",
    "jobs",
]
