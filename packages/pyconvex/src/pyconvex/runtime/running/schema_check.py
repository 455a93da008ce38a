"""Checking documents that exist against the schema of a deploy that is under way.

Owns one page of that work, which runs in an isolate of the new app: it alone has the schema. Never
writes, and never looks at what is in force. One invariant: every page is one short snapshot of
bounded size.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Protocol

import msgspec

from pyconvex.database import Namespace, Transaction
from pyconvex.database.documents import decode_document
from pyconvex.functions import Schema
from pyconvex.runlog import Report
from pyconvex.runtime.processes import messages
from pyconvex.storage import START, Position, Proposal, Reader
from pyconvex.values import ValidationFailed, Value

#: What `messages.Start.kind` says for a page of checks.
CHECK = "check"
#: Documents, or revisions, of one page, and bytes of them: a tenth of a second at most.
PAGE_DOCUMENTS = 1_000
PAGE_BYTES = 2 * 1024 * 1024

_UNSTORED = ("_id", "_creationTime")


class TableName(msgspec.Struct, frozen=True, array_like=True):
    """A table of one component."""

    component: str
    table: str


class CheckStored(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Check one table's documents in the order of their ids."""

    name: TableName
    after: bytes = b""


class CheckWritten(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Check those documents of several tables that were written behind a commit."""

    names: list[TableName]
    after: Position = START


class Checked(msgspec.Struct, frozen=True, array_like=True):
    """What a page found: why the deploy fails, or where to go on, or nothing when all was seen."""

    failure: str | None = None
    next_id: bytes | None = None
    next_position: Position | None = None


class HasSchema(Protocol):
    """A component of the new app."""

    @property
    def schema(self) -> Schema: ...


Request = CheckStored | CheckWritten
_REQUESTS = msgspec.msgpack.Decoder(Request)
_ANSWERS = msgspec.msgpack.Decoder(Checked)


def check_page(
    components: Mapping[str, HasSchema], reader: Reader, start: messages.Start
) -> messages.Finished:
    """Run one page at the reader's open snapshot."""
    page = _Page(components, reader, start.now_ms)
    request = _REQUESTS.decode(start.args)
    match request:
        case CheckStored():
            checked = page.stored(request)
        case CheckWritten():
            checked = page.written(request)
    assert reader.head is not None
    return messages.Finished(
        run_id=start.run_id,
        value=msgspec.msgpack.encode(checked),
        error="",
        data=None,
        report=Report(),
        observed_identity=False,
        proposal=Proposal(reader.head.ts, b"").encode(),
        stale=False,
        journal=None,
        observed_time=False,
    )


def encode_request(request: Request) -> bytes:
    return msgspec.msgpack.encode(request)


def decode_answer(finished: messages.Finished) -> Checked:
    assert finished.value is not None
    return _ANSWERS.decode(finished.value)


class _Page:
    def __init__(self, components: Mapping[str, HasSchema], reader: Reader, now_ms: float) -> None:
        self._components = components
        self._reader = reader
        self._tx = Transaction(reader, now_ms=now_ms, random=Random(0))  # noqa: S311  # makes no ids

    def stored(self, request: CheckStored) -> Checked:
        tablet = self._tablet(request.name)
        if tablet is None:
            return Checked()
        seen = size = 0
        start = request.after + b"\0" if request.after else b""
        rows = self._tx.scan(tablet, tablet, start, None, counted=False, expect=PAGE_DOCUMENTS)
        for row in rows:
            failure = self._failure(request.name, decode_document(row.doc))
            if failure is not None:
                return Checked(failure=f"Document with {failure}")
            seen, size = seen + 1, size + len(row.doc)
            if seen >= PAGE_DOCUMENTS or size >= PAGE_BYTES:
                return Checked(next_id=row.id)
        return Checked()

    def written(self, request: CheckWritten) -> Checked:
        """Documents as they are now, whatever they were in between."""
        tablets = {self._tablet(name): name for name in request.names}
        head = self._tx.head.ts
        revisions = self._reader.revisions(request.after, limit=PAGE_DOCUMENTS, up_to_ts=head)
        if revisions is None:
            return Checked(
                failure="The deploy took longer than revisions are kept; nothing was changed."
            )
        for tablet, id in {(each.tablet, each.id): None for each in revisions}:
            found = self._reader.get(tablet, id) if tablet in tablets else None
            if found is None:
                continue
            failure = self._failure(tablets[tablet], decode_document(found[1]))
            if failure is not None:
                return Checked(failure=f"New document with {failure}")
        if len(revisions) < PAGE_DOCUMENTS:
            return Checked()
        return Checked(next_position=revisions[-1].position)

    def _failure(self, name: TableName, document: dict[str, Value]) -> str | None:
        """How a document fails its table's new validator; None when it doesn't."""
        declared = self._components[name.component].schema.tables[name.table]
        bare = {field: value for field, value in document.items() if field not in _UNSTORED}
        try:
            declared.validator.check(bare, self._namespace(name))
        except ValidationFailed as error:
            id = str(document["_id"])
            return f'ID "{id}" in table "{name.table}" does not match the schema: {error}'
        return None

    def _namespace(self, name: TableName) -> Namespace:
        return self._tx.namespace(name.component)

    def _tablet(self, name: TableName) -> int | None:
        table = self._tx.table_named(name.component, name.table)
        return table.tablet if table is not None else None
