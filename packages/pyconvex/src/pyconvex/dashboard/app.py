"""The dashboard as an ASGI application.

Owns which pages there are, the navigation between them, and what a failure looks like. Never reads
data itself; each page does. One invariant: a page is reached through the door, and only style,
scripts and signing in are open.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import resources
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route, Router
from starlette.types import Message, Receive, Scope, Send

from pyconvex.companions import CompanionStatus
from pyconvex.dashboard import calls, contents, documents, logs, streams
from pyconvex.dashboard.companions import SECTION as COMPANIONS
from pyconvex.dashboard.companions import CompanionPages
from pyconvex.dashboard.door import Door, Visit
from pyconvex.dashboard.questions import Questions
from pyconvex.dashboard.queues import SECTION as QUEUES
from pyconvex.dashboard.queues import QueuePages
from pyconvex.dashboard.render import HEADERS, Renderer
from pyconvex.dashboard.sessions import Sessions
from pyconvex.dashboard.signin import SignInPages
from pyconvex.dashboard.streamlist import LogStreamOperations
from pyconvex.identity import Authenticator, User
from pyconvex.runlog.recent import RecentRuns

_LOG = logging.getLogger(__name__)
_ASSETS = {
    "style.css": "text/css",
    "signin.js": "text/javascript",
    "logs.js": "text/javascript",
    "streams.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_SECTIONS = (contents.FUNCTIONS, documents.TABLES, contents.SCHEDULES, contents.VARIABLES)


class Dashboard:
    """Answers below `/dashboard`.

    `recent` are the executions that the logs page follows; what else is given has pages, and
    `host` is who is asked for what is in the deployment, and runs functions, in the name of users
    whom `acts_as` makes of an identity. `cookie` and `origin` are the `Door`'s; `deployment` is the
    name that the pages show.
    """

    def __init__(
        self,
        sessions: Sessions,
        authenticator: Authenticator,
        recent: RecentRuns,
        *,
        log_streams: LogStreamOperations | None = None,
        companions: Callable[[], tuple[CompanionStatus, ...]] | None = None,
        queues: Callable[[], Awaitable[Sequence[Mapping[str, Any]]]] | None = None,
        host: calls.RunsFunctions | None = None,
        acts_as: Callable[[bytes], User] | None = None,
        deployment: str,
        cookie: str = "pyconvex",
        origin: str | None = None,
    ) -> None:
        self._door = door = Door(sessions, cookie=cookie, origin=origin)
        sections = [
            logs.SECTION,
            *([streams.SECTION] if log_streams is not None else []),
            *([QUEUES] if queues is not None else []),
            *(_SECTIONS if host is not None else []),
            *([COMPANIONS] if companions is not None else []),
        ]
        self._renderer = renderer = Renderer(deployment=deployment, sections=sections)
        self.routes: list[Route] = [
            Route("/dashboard", door.inside(self.home), methods=["GET"]),
            Route("/dashboard/assets/{name}", asset, methods=["GET"]),
            *SignInPages(sessions, authenticator, door, renderer).routes(),
            *logs.LogPages(recent, door, renderer).routes(),
        ]
        if log_streams is not None:
            self.routes += streams.StreamPages(log_streams, door, renderer).routes()
        if queues is not None:
            self.routes += QueuePages(queues, door, renderer).routes()
        if companions is not None:
            self.routes += CompanionPages(companions, door, renderer).routes()
        if host is not None:
            self.routes += contents.ContentPages(Questions(host), door, renderer).routes()
            self.routes += documents.DocumentPages(Questions(host), door, renderer).routes()
        if host is not None and acts_as is not None:
            self.routes += calls.CallPages(host, acts_as, recent, door, renderer).routes()
        self._router = Router(self.routes, default=self._missing)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = False

        async def sent(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await self._router(scope, receive, sent)
        except Exception:
            _LOG.exception("The dashboard could not show %s.", scope["path"])
            if began:
                raise
            failed = PlainTextResponse("The page couldn't be made; the server's log says why.", 500)
            await failed(scope, receive, send)

    async def home(self, visit: Visit) -> Response:
        """The first page there is."""
        return RedirectResponse(logs.SECTION.path, 303)

    async def _missing(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def page(visit: Visit) -> Response:
            return self._renderer.page("missing.html", visit, "", 404, what="page")

        response = await self._door.inside(page)(Request(scope, receive))
        await response(scope, receive, send)


async def asset(request: Request) -> Response:
    """A file of ours that pages bring with them."""
    name = request.path_params["name"]
    if name not in _ASSETS:
        return PlainTextResponse("There is no such file.\n", 404)
    content = (resources.files("pyconvex.dashboard") / "static" / name).read_bytes()
    headers = {**HEADERS, "cache-control": "no-cache"}
    return Response(content, media_type=_ASSETS[name], headers=headers)
