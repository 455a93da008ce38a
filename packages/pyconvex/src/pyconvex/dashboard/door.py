"""Who comes in: the cookie of a session, and where a form was sent from.

Owns both checks and the cookie. Never keeps a session. One invariant: what changes something is
reached only with a session's cookie, its form's token, and from a page of this very origin.

Cookies and `SameSite` know no ports, so a page that the app serves on the site's port counts as the
same site; the origin and the token tell it apart.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from pyconvex.dashboard.forms import Form, FormError, read_form
from pyconvex.dashboard.sessions import SESSION_LIFE_S, Session, Sessions

ROOT = "/dashboard"
SIGN_IN = "/dashboard/sign_in"
#: The field that carries a session's form token.
FORM_TOKEN = "form_token"  # noqa: S105  # a field's name


class Visit(msgspec.Struct, frozen=True):
    """A request of somebody who is signed in."""

    request: Request
    session: Session
    #: What was sent, for a POST.
    form: Form


Inside = Callable[[Visit], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


class Door:
    """Lets requests in, or not.

    `cookie` is the cookie's name: cookies are shared by all ports of a host, so each deployment has
    its own. `origin` is where browsers reach the deployment, if that is not where it listens.
    """

    def __init__(self, sessions: Sessions, *, cookie: str, origin: str | None = None) -> None:
        self._sessions = sessions
        self._cookie = cookie
        self._origin = origin

    def inside(self, page: Inside) -> Endpoint:
        """The endpoint of a page that is shown to who is signed in."""

        async def endpoint(request: Request) -> Response:
            session = self._sessions.find(self._token(request))
            if session is None:
                return _sent_to_sign_in(request)
            if request.method in ("GET", "HEAD"):
                return await page(Visit(request, session, Form()))
            if (refusal := self.refusal(request)) is not None:
                return refusal
            form = await read_form(request)
            if not hmac.compare_digest(form.text(FORM_TOKEN).encode(), session.form_token.encode()):
                return _refused("This form is from another session: load the page again.")
            return await page(Visit(request, session, form))

        return _with_readable_form(endpoint)

    def outside(self, page: Endpoint) -> Endpoint:
        """The endpoint of a page for everybody; its forms still come from this origin alone."""

        async def endpoint(request: Request) -> Response:
            if request.method == "POST" and (refusal := self.refusal(request)) is not None:
                return refusal
            return await page(request)

        return _with_readable_form(endpoint)

    def refusal(self, request: Request) -> Response | None:
        """What answers a request to change something that no page of ours has sent."""
        site = request.headers.get("sec-fetch-site", "same-origin")
        origin = request.headers.get("origin", "")
        ours = {self._origin, f"http://{request.headers.get('host', '')}"} - {None}
        if site != "same-origin" or origin not in ours:
            return _refused(
                "Only the dashboard's own pages can change something here. Behind a proxy, start "
                "the deployment with --cloud-origin and the address that browsers see."
            )
        return None

    def is_in(self, request: Request) -> bool:
        """Whether the request's session still lasts."""
        return self._sessions.find(self._token(request)) is not None

    def let_in(self, response: Response, token: str) -> Response:
        """Give the cookie of a session to who has just signed in."""
        response.set_cookie(
            self._cookie,
            token,
            max_age=int(SESSION_LIFE_S),
            path=ROOT,
            httponly=True,
            samesite="strict",
            secure=(self._origin or "").startswith("https:"),
        )
        return response

    def let_out(self, request: Request, response: Response) -> Response:
        """End the request's session."""
        self._sessions.close(self._token(request))
        response.delete_cookie(self._cookie, path=ROOT, httponly=True, samesite="strict")
        return response

    def _token(self, request: Request) -> str:
        return request.cookies.get(self._cookie, "")


def safe_target(path: str) -> str:
    """Where to go after signing in: a page of ours, whatever was asked for.

    >>> safe_target("/dashboard/logs?level=error"), safe_target("https://elsewhere.example/")
    ('/dashboard/logs?level=error', '/dashboard')
    """
    parts = urlsplit(path)
    ours = not (parts.scheme or parts.netloc) and parts.path.startswith(f"{ROOT}/")
    return path if ours and "\\" not in path and path.isprintable() else ROOT


def _sent_to_sign_in(request: Request) -> Response:
    """People are led to the sign-in page; what a script fetches is refused."""
    if request.method != "GET" or "text/html" not in request.headers.get("accept", ""):
        return PlainTextResponse("Sign in to the dashboard first.\n", 401)
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{SIGN_IN}?next={quote(asked, safe='')}", 303)


def _refused(why: str) -> Response:
    return PlainTextResponse(f"{why}\n", 403)


def _with_readable_form(endpoint: Endpoint) -> Endpoint:
    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except FormError as error:
            return PlainTextResponse(f"{error}\n", 400)

    return answered
