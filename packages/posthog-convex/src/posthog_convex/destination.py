"""A PostHog project as a destination: its token and its host.

Owns what a form says about either, and finding out whether a project knows the token. Never sends
by itself: whoever asks brings the way out. One invariant: no message holds a token.

PostHog's ingestion answers 200 to tokens of nobody, so the service that evaluates flags is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from posthog_convex.endpoints import DECIDE, FLAGS, OTHER_REGION, normalise_host

#: The variables of an app that say where it sends, and fill a form in.
TOKEN_VARIABLE = "POSTHOG_PROJECT_TOKEN"  # noqa: S105  # the variable's name
HOST_VARIABLE = "POSTHOG_HOST"

TOKEN_REQUIRED = "PostHog project token is required"  # noqa: S105  # what a form says
URL_INVALID = "Must be a valid URL"

#: Whom flags are asked for; the name that Convex uses too.
_ASKED_FOR = "convex-verification"
_SECRET_KINDS = {
    "phx_": "a personal API key (phx_…)",
    "phs_": "a project secret key (phs_…)",
    "pha_": "an OAuth access token (pha_…)",
}


class Destination(msgspec.Struct, frozen=True):
    """Where to send; `host` as it was typed, None for PostHog's US cloud."""

    token: str
    host: str | None = None

    @property
    def origin(self) -> str:
        """The address to put paths behind.

        >>> Destination("phc_1", "https://eu.i.posthog.com/").origin
        'https://eu.i.posthog.com'
        """
        return normalise_host(self.host)


class Verified(msgspec.Struct, frozen=True, tag=True):
    """A project of that host has the token."""


class Rejected(msgspec.Struct, frozen=True, tag=True):
    """It is wrong, and will be until somebody changes it."""

    reason: str


class NotVerifiable(msgspec.Struct, frozen=True, tag=True):
    """The host has no route that would tell; sending may work all the same."""

    reason: str


class NotNow(msgspec.Struct, frozen=True, tag=True):
    """No answer that says anything; ask again later."""

    reason: str


Verification = Verified | Rejected | NotVerifiable | NotNow


class Answer(msgspec.Struct, frozen=True):
    """What came back; header names are lower-case."""

    status: int
    headers: Mapping[str, str] = {}


class Ask(Protocol):
    """The way out: posts JSON once."""

    async def __call__(self, url: str, body: bytes, /) -> Answer | str:
        """The answer, or as text why there is none."""


def token_problem(token: str) -> str | None:
    """What is wrong with what stands where a project token should, None for nothing.

    >>> token_problem(" ")
    'PostHog project token is required'
    >>> token_problem("phx_secret")
    'This is a personal API key (phx_…); use the project token, which begins with phc_'
    """
    text = token.strip()
    if not text:
        return TOKEN_REQUIRED
    for prefix, kind in _SECRET_KINDS.items():
        if text.startswith(prefix):
            return f"This is {kind}; use the project token, which begins with phc_"
    if text[0] in "\"'`" or text[-1] in "\"'`":
        return "There are quotes around the project token; leave them out"
    if not text.isascii() or not text.isprintable() or " " in text or len(text) > 64:
        return "This is no project token; project tokens begin with phc_ and have no spaces"
    return None


def host_problem(host: str | None) -> str | None:
    """What is wrong with what stands where a host should; left out, it is PostHog's US cloud.

    >>> host_problem("eu.i.posthog.com")
    'Must be a valid URL'
    """
    text = (host or "").strip()
    if not text:
        return None
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    # What is put behind it is a path, and a password in an address ends up in logs.
    clean = usable and not (parts.query or parts.fragment or parts.username or parts.password)
    return None if clean and not any(char.isspace() for char in text) else URL_INVALID


async def verify(destination: Destination, ask: Ask) -> Verification:
    """Whether the project can be sent to, as far as its host tells.

    >>> import asyncio
    >>> async def no_such_token(url: str, body: bytes) -> Answer:
    ...     return Answer(401)
    >>> asyncio.run(verify(Destination("phc_1", "https://eu.i.posthog.com/"), no_such_token))
    Rejected(reason='https://eu.i.posthog.com knows no project with this token (401)')

    Where one region of PostHog's cloud knows none, the other is asked, so that the reason says so.
    """
    problem = token_problem(destination.token) or host_problem(destination.host)
    if problem is not None:
        return Rejected(problem)
    found = await _asked(destination.origin, destination.token, ask)
    other = OTHER_REGION.get(destination.origin)
    if not isinstance(found, Rejected) or other is None:
        return found
    if not isinstance(await _asked(other, destination.token, ask), Verified):
        return found
    return Rejected(f"{found.reason}; {other} knows one, so set the host to that")


async def _asked(origin: str, token: str, ask: Ask) -> Verification:
    body = msgspec.json.encode({"api_key": token.strip(), "distinct_id": _ASKED_FOR})
    found: Verification = NotNow("nobody was asked")
    for endpoint in (FLAGS, DECIDE):
        found = _read(origin, await ask(endpoint.url(origin), body))
        if not isinstance(found, NotVerifiable):
            return found
    return found


def _read(origin: str, answer: Answer | str) -> Verification:
    if isinstance(answer, str):
        return NotNow(f"{origin} could not be reached: {answer}")
    match answer.status:
        case status if 200 <= status < 300:
            if "html" in answer.headers.get("content-type", ""):
                return Rejected(f"a web page answered at {origin} instead of PostHog")
            return Verified()
        case 402:
            return Verified()  # the project's quota of flags is used up, so there is a project
        case 400 | 401 | 403:
            return Rejected(f"{origin} knows no project with this token ({answer.status})")
        case 404 | 405 | 410 | 501:
            return NotVerifiable(f"{origin} has no route that checks tokens ({answer.status})")
        case 408 | 425 | 429:
            return NotNow(f"{origin} is busy ({answer.status})")
        case status if status >= 500:
            return NotNow(f"{origin} answered {status}")
        case status:
            return Rejected(f"{origin} answered {status}: is this the address of a PostHog?")
