"""The pages of log streams: how they fare, setting one up, changing it, taking it away.

Owns these pages. Never knows a kind of stream: forms are made of what the kinds say of themselves.
One invariant: nothing is taken away or made anew without a page that asks first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pyconvex.dashboard import streamform
from pyconvex.dashboard.door import Door, Visit
from pyconvex.dashboard.render import Renderer, Section
from pyconvex.dashboard.streamform import Draft
from pyconvex.dashboard.streamlist import (
    Kind,
    LogStreamOperations,
    Overview,
    Stream,
    made_secrets,
    read,
)
from pyconvex.runtime.calls import HostError

SECTION = Section("log_streams", "/dashboard/log_streams", "Log streams")

_OfStream = Callable[[Visit, Overview, Stream], Awaitable[Response]]


class StreamPages:
    """The pages of log streams."""

    def __init__(self, operations: LogStreamOperations, door: Door, renderer: Renderer) -> None:
        self._operations = operations
        self._door = door
        self._renderer = renderer

    def routes(self) -> list[Route]:
        """The list, what it follows, and the pages of one stream."""
        inside, of = self._door.inside, self._of_stream
        return [
            Route("/dashboard/log_streams", inside(self.list), methods=["GET"]),
            Route("/dashboard/log_streams/state", inside(self.state), methods=["GET"]),
            Route("/dashboard/log_streams/new/{kind}", inside(self.new), methods=["GET", "POST"]),
            Route("/dashboard/log_streams/{id}", inside(of(self.show)), methods=["GET"]),
            Route("/dashboard/log_streams/{id}", inside(of(self.change)), methods=["POST"]),
            Route("/dashboard/log_streams/{id}/test", inside(of(self.test)), methods=["POST"]),
            Route(
                "/dashboard/log_streams/{id}/rotate",
                inside(of(self.rotate)),
                methods=["GET", "POST"],
            ),
            Route(
                "/dashboard/log_streams/{id}/delete",
                inside(of(self.delete)),
                methods=["GET", "POST"],
            ),
        ]

    async def list(self, visit: Visit) -> Response:
        """All streams, and what can be added."""
        return self._page("streams.html", visit, overview=self._overview())

    async def state(self, visit: Visit) -> Response:
        """How all streams fare, for the page to put in place of what it shows."""
        return self._renderer.plain("_streams.html", overview=self._overview())

    async def new(self, visit: Visit) -> Response:
        """The form for a stream of one kind, and setting it up."""
        overview = self._overview()
        kind = overview.kind(visit.request.path_params["kind"])
        if kind is None:
            return self._missing(visit, "kind of log stream")
        draft = streamform.begun(kind)
        if visit.request.method != "POST":
            return self._form(visit, overview, kind, draft)
        draft = streamform.sent(kind, visit.form, draft, overview.topics)
        if draft.is_wrong:
            return self._form(visit, overview, kind, draft, status=400)
        try:
            body = streamform.body(kind, visit.form, draft, is_new=True)
            made = await self._operations.create(body)
        except HostError as error:
            draft = streamform.refused(draft, error.code, error.message)
            return self._form(visit, overview, kind, draft, status=error.status)
        return RedirectResponse(f"{SECTION.path}/{made['id']}?made=1", 303)

    async def show(self, visit: Visit, overview: Overview, stream: Stream) -> Response:
        """One stream: how it fares, its settings, what can be done."""
        return self._stream(visit, overview, stream)

    async def change(self, visit: Visit, overview: Overview, stream: Stream) -> Response:
        """Change the settings."""
        kind = overview.kind(stream.kind)
        if kind is None:
            return self._stream(visit, overview, stream, status=400)
        before = streamform.of_stream(kind, stream)
        draft = streamform.sent(kind, visit.form, before, overview.topics)
        if draft.is_wrong:
            return self._stream(visit, overview, stream, draft=draft, status=400)
        try:
            body = streamform.body(kind, visit.form, draft, is_new=False)
            await self._operations.update(stream.id, body)
        except HostError as error:
            draft = streamform.refused(draft, error.code, error.message)
            return self._stream(visit, overview, stream, draft=draft, status=error.status)
        return RedirectResponse(f"{SECTION.path}/{stream.id}?saved=1", 303)

    async def test(self, visit: Visit, overview: Overview, stream: Stream) -> Response:
        """Ask the receiver now, and say what it answered."""
        verdict = await self._operations.test(stream.id)
        return self._stream(visit, self._overview(), stream, verdict=verdict)

    async def rotate(self, visit: Visit, overview: Overview, stream: Stream) -> Response:
        """Make another secret, after asking."""
        if visit.request.method != "POST":
            return self._page("stream_rotate.html", visit, stream=stream)
        await self._operations.rotate_secret(stream.id)
        return RedirectResponse(f"{SECTION.path}/{stream.id}?made=1", 303)

    async def delete(self, visit: Visit, overview: Overview, stream: Stream) -> Response:
        """Take the stream away, after asking."""
        if visit.request.method != "POST":
            return self._page("stream_delete.html", visit, stream=stream)
        await self._operations.delete(stream.id)
        return RedirectResponse(f"{SECTION.path}?deleted=1", 303)

    def _of_stream(self, page: _OfStream) -> Callable[[Visit], Awaitable[Response]]:
        """A page of the stream that the path names."""

        async def shown(visit: Visit) -> Response:
            overview = self._overview()
            stream = overview.stream(visit.request.path_params["id"])
            if stream is None or not self._is_kept(stream):
                return self._missing(visit, "log stream")
            try:
                return await page(visit, overview, stream)
            except HostError as error:
                return self._stream(
                    visit, overview, stream, problem=error.message, status=error.status
                )

        return shown

    def _overview(self) -> Overview:
        return read(self._operations.overview())

    def _is_kept(self, stream: Stream) -> bool:
        """Whether a stream can be changed; one that the command line asked for can't be."""
        try:
            self._operations.get(stream.id)
        except HostError:
            return False
        return True

    def _form(
        self, visit: Visit, overview: Overview, kind: Kind, draft: Draft, status: int = 200
    ) -> Response:
        return self._page(
            "stream_new.html", visit, status, overview=overview, kind=kind, draft=draft
        )

    def _stream(
        self,
        visit: Visit,
        overview: Overview,
        stream: Stream,
        *,
        draft: Draft | None = None,
        verdict: dict[str, Any] | None = None,
        problem: str = "",
        status: int = 200,
    ) -> Response:
        kind = overview.kind(stream.kind)
        if draft is None and kind is not None:
            draft = streamform.of_stream(kind, stream)
        return self._page(
            "stream.html",
            visit,
            status,
            overview=overview,
            stream=stream,
            kind=kind,
            draft=draft,
            secrets=made_secrets(stream, kind),
            verdict=verdict,
            problem=problem,
            made="made" in visit.request.query_params,
            saved="saved" in visit.request.query_params,
        )

    def _missing(self, visit: Visit, what: str) -> Response:
        return self._page("missing.html", visit, 404, what=what)

    def _page(self, template: str, visit: Visit, status: int = 200, **values: Any) -> Response:
        return self._renderer.page(
            template,
            visit,
            SECTION.name,
            status,
            is_kept=self._is_kept,
            topic_hints=streamform.TOPIC_HINTS,
            deleted="deleted" in visit.request.query_params,
            **values,
        )
