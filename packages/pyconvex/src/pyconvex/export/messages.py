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


class DataSync(Frame, frozen=True, array_like=True, tag=True):
    """The next page of a data sync. `selection` is JSON; `sync_id` is for a sync that begins."""

    cursor: str | None
    selection: bytes | None
    sync_id: str
    page_size: int | None = None
    lines: bool = False
    tell_dropped: bool = False
    gzip: bool = False


ExportRequest = DataSync
Request = Configure | ExportRequest


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """How far a data sync has come with a page."""

    sync_id: str
    #: It had no cursor: it is the first page.
    begins: bool
    status: str
    snapshot_ts: int | None
    tables_synced: int
    tables: int
    component: str | None
    table: str | None
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
