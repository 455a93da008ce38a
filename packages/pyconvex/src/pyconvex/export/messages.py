"""What the server and the export process say to each other.

Owns the requests, the answer's head, and their encoding; an answer's body follows its head as it
is. Never interprets them. One invariant: a request says everything that its answer depends on but
the data.
"""

from __future__ import annotations

import msgspec


class Frame(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of all requests; the class name is the tag."""


class Configure(Frame, frozen=True, array_like=True, tag=True):
    """Sent first: the database file, and the secret that cursors are sealed with."""

    database: str
    secret: bytes


class SelectionText(msgspec.Struct, frozen=True, array_like=True):
    """What is asked for: a selection as JSON, or one table, or one component, or everything."""

    json: bytes | None = None
    component: str | None = None
    table: str | None = None


class DataSync(Frame, frozen=True, array_like=True, tag=True):
    """The next page of a data sync; `sync_id` is for one that begins."""

    cursor: str | None
    selection: SelectionText
    sync_id: str
    page_size: int | None = None
    lines: bool = False
    tell_dropped: bool = False
    tell_retention: bool = False
    gzip: bool = False
    tell_old_document: bool = False


class ListSnapshot(Frame, frozen=True, array_like=True, tag=True):
    """A page of a walk at a snapshot, the newest if None; `now_ns` judges how old it is."""

    snapshot: int | None
    cursor: str | None
    selection: SelectionText
    format: str
    now_ns: int
    gzip: bool = False


class DocumentDeltas(Frame, frozen=True, array_like=True, tag=True):
    """Changes behind a timestamp."""

    cursor: int
    selection: SelectionText
    format: str
    gzip: bool = False
    tell_old_document: bool = False


class CursorFromDeltas(Frame, frozen=True, array_like=True, tag=True):
    """The cursor of a data sync that has everything as of a timestamp."""

    cursor: int
    selection: SelectionText
    sync_id: str


class JsonSchemas(Frame, frozen=True, array_like=True, tag=True):
    """What tables look like, as JSON Schema."""

    format: str
    delta: bool
    by_component: bool


class ColumnNames(Frame, frozen=True, array_like=True, tag=True):
    """The tables and their columns."""


class CountDocuments(Frame, frozen=True, array_like=True, tag=True):
    """How many documents each of these tables has; 0 for one that is not there."""

    tablets: tuple[int, ...]


PageRequest = DataSync | ListSnapshot | DocumentDeltas | CursorFromDeltas | CountDocuments
SurveyRequest = JsonSchemas | ColumnNames
ExportRequest = PageRequest | SurveyRequest
Request = Configure | ExportRequest


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """How far a data sync has come with a page."""

    sync_id: str
    #: It had no cursor: it is the first page.
    begins: bool
    status: str
    snapshot_ts: int | None
    tables_synced: int
    #: The selected ones, by tablet.
    tables: tuple[int, ...]
    component: str | None
    table: str | None
    tablet: int
    documents_in_table: int
    documents: int
    #: Whether the page told anything but that time has passed.
    news: bool


class Head(msgspec.Struct, frozen=True, array_like=True):
    """How a request ended: at status 200 so many bytes of body follow, otherwise none.

    Everything in the body is as of `as_of_ts`.
    """

    status: int
    code: str = ""
    message: str = ""
    as_of_ts: int = 0
    content_type: str = ""
    encoding: str = ""
    body_bytes: int = 0
    progress: Progress | None = None


class Answer(msgspec.Struct, frozen=True):
    """An answer of status 200, whole."""

    head: Head
    body: bytes | bytearray


encode = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(Request).decode
decode_head = msgspec.msgpack.Decoder(Head).decode
