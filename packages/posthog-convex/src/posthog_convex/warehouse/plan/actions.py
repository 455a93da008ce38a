"""What can be done to a destination, one action each, and a plan as a list of them.

Owns the actions and what each means, in no destination's words. Never does one. Invariant: the
actions of a plan are done in their order, all of them or none, and the progress is saved with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from posthog_convex.warehouse.documents.columns import Schema
from posthog_convex.warehouse.plan.progress import Progress

if TYPE_CHECKING:
    import pyarrow


class Discard(msgspec.Struct, frozen=True):
    """Forget these rows; they may not be there."""

    rows: str


class Create(msgspec.Struct, frozen=True):
    """An empty place for rows, with these columns beside the system's."""

    rows: str
    schema: Schema


class Reshape(msgspec.Struct, frozen=True):
    """Bring rows from one schema to a wider one, without loss."""

    rows: str
    before: Schema
    after: Schema


class Append(msgspec.Struct, frozen=True):
    """Add revisions, as they are, to a place."""

    rows: str
    batch: pyarrow.Table


class Settle(msgspec.Struct, frozen=True):
    """Of a generation that was filled, keep what the mode keeps of each document."""

    rows: str


class Merge(msgspec.Struct, frozen=True):
    """Bring waiting revisions into live rows of the same schema."""

    rows: str
    changes: str
    name: str


class Succeed(msgspec.Struct, frozen=True):
    """The generation `rows` takes over from `previous`, of the same schema, at a timestamp.

    What the mode keeps of documents that are only in `previous` moves over, deleted at `ts`.
    """

    rows: str
    previous: str
    ts: int


class Show(msgspec.Struct, frozen=True):
    """Readers find these rows under this name."""

    name: str
    rows: str
    schema: Schema


class Rename(msgspec.Struct, frozen=True):
    """Rows move to another place, with everything in them."""

    rows: str
    to: str


class Hide(msgspec.Struct, frozen=True):
    """Readers find nothing under this name any more."""

    name: str


Action = Discard | Create | Reshape | Append | Settle | Merge | Succeed | Show | Hide | Rename


class Plan(msgspec.Struct, frozen=True):
    """Do all of this, in this order, and save the progress, or none of it."""

    actions: tuple[Action, ...]
    progress: Progress
    #: This step makes a new snapshot visible.
    publishes: bool
