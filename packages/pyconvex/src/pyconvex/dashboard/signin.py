"""Signing in and out.

Owns these pages. Never keeps the key that somebody pastes. One invariant: looking at a link uses
nothing up, so whatever fetches links before people open them leaves theirs alone; its form, which
the page sends by itself, does.

The cookie comes with the answer to that form, not with the link: one that was set while a browser
followed a link from elsewhere would be held back from the page behind.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pyconvex.dashboard.door import SIGN_IN, Door, Visit, safe_target
from pyconvex.dashboard.forms import read_form
from pyconvex.dashboard.render import Renderer
from pyconvex.dashboard.sessions import Sessions
from pyconvex.identity import AuthenticationError, Authenticator

_WRONG_KEY = "That is not this deployment's admin key."
_NO_LINK = (
    "This link does not work: links work once, for ten minutes. `pyconvex dashboard` gives another."
)


def sign_in_url(sessions: Sessions, origin: str) -> str:
    """An address at this origin that signs in whoever opens it first."""
    return f"{origin}{SIGN_IN}/{sessions.new_link()}"


class SignInPages:
    """The sign-in page with its two ways, and signing out."""

    def __init__(
        self, sessions: Sessions, authenticator: Authenticator, door: Door, renderer: Renderer
    ) -> None:
        self._sessions = sessions
        self._authenticator = authenticator
        self._door = door
        self._renderer = renderer

    def routes(self) -> list[Route]:
        """These are reached without a session, but for signing out."""
        outside, inside = self._door.outside, self._door.inside
        return [
            Route("/dashboard/sign_in", outside(self.ask), methods=["GET"]),
            Route("/dashboard/sign_in", outside(self.sign_in), methods=["POST"]),
            Route("/dashboard/sign_in/{link}", outside(self.show_link), methods=["GET"]),
            Route("/dashboard/sign_out", inside(self.sign_out), methods=["POST"]),
        ]

    async def ask(self, request: Request) -> Response:
        """The form for the admin key."""
        if self._door.is_in(request):
            return RedirectResponse(safe_target(request.query_params.get("next", "")), 303)
        return self._page(target=request.query_params.get("next", ""))

    async def show_link(self, request: Request) -> Response:
        """What a link leads to: a form that holds its token."""
        link = request.path_params["link"]
        if not self._sessions.is_link(link):
            return self._page(410, problem=_NO_LINK)
        return self._page(link=link)

    async def sign_in(self, request: Request) -> Response:
        """A link's token, or the admin key, for a session."""
        form = await read_form(request)
        target = form.text("next")
        if "link" in form.fields:
            token = self._sessions.redeem(form.text("link"))
            if token is None:
                return self._page(410, target=target, problem=_NO_LINK)
        elif await self._is_admin_key(form.text("key")):
            token = self._sessions.open()
        else:
            return self._page(403, target=target, problem=_WRONG_KEY)
        return self._door.let_in(RedirectResponse(safe_target(target), 303), token)

    async def sign_out(self, visit: Visit) -> Response:
        """End this session."""
        return self._door.let_out(visit.request, RedirectResponse(SIGN_IN, 303))

    async def _is_admin_key(self, key: str) -> bool:
        try:
            await self._authenticator.admin_key(key)
        except AuthenticationError:
            return False
        return True

    def _page(
        self, status: int = 200, *, target: str = "", link: str = "", problem: str = ""
    ) -> Response:
        return self._renderer.plain(
            "sign_in.html", status, target=target, link=link, problem=problem
        )
