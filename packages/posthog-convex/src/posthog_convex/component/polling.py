"""One look for newer flag definitions.

Owns the conditional request and what its answers mean. Never decides when to look again or what to
log. One invariant: an answer without definitions changes nothing that is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

import msgspec

from posthog_convex.component.settings import misplaced_key
from posthog_convex.endpoints import FLAG_DEFINITIONS, normalise_host
from pyconvex.delivery import Request, Response, Unreachable, retry_after_s
from pyconvex.values import Value

#: How PostHog begins to say that it has no definitions at hand; so it does for a project without
#: flags.
_NOT_READY = b"required data not found in cache"
_NOT_READY_KIND = "not ready"


class Outcome(StrEnum):
    """How a look went."""

    #: There were newer definitions, and they are stored.
    UPDATED = "updated"
    #: What is stored is what PostHog has.
    UNCHANGED = "unchanged"
    #: PostHog could not be reached, or could not answer: it will pass.
    UNREACHABLE = "unreachable"
    #: PostHog answered no: somebody has to change something.
    REFUSED = "refused"


class Look(msgspec.Struct, frozen=True):
    """A look that is over."""

    outcome: Outcome
    #: What a person should know, where there is something.
    reason: str = ""
    #: The same for the same kind of trouble, however it is worded.
    kind: str = ""
    #: How long PostHog asks not to be asked.
    retry_after_s: float = 0.0

    @property
    def trouble(self) -> str:
        """What went wrong, for a log and for whoever asked."""
        if self.kind == _NOT_READY_KIND:
            return f"PostHog has no flag definitions to give ({self.reason})"
        if self.outcome is Outcome.UNREACHABLE:
            return f"PostHog could not be reached for flags ({self.reason})"
        return self.reason


class Outside(Protocol):
    """What a look needs; a lane's context has it."""

    @property
    def env(self) -> Mapping[str, str]:
        """The component's variables."""

    async def send(self, request: Request) -> Response:
        """Send once. Raises `Unreachable`."""

    async def run_mutation(self, path: str, args: Mapping[str, Value]) -> Value:
        """Run a mutation of the component."""

    def now_ms(self) -> float:
        """The time, in milliseconds since 1970."""


async def look(outside: Outside, etag: str | None, user_agent: str) -> Look:
    """Ask for definitions newer than `etag`, and store them."""
    if (problem := misplaced_key(outside.env)) is not None:
        return Look(Outcome.REFUSED, problem, "misplaced key")
    try:
        response = await _fetch(outside, etag, user_agent)
    except Unreachable as error:
        return Look(Outcome.UNREACHABLE, str(error), "unreachable")
    pause_s = retry_after_s(response) or 0.0
    kind = f"status {response.status}"
    match response.status:
        case 200 if _has_definitions(response):
            changed = await _store(outside, response)
            return Look(Outcome.UPDATED if changed else Outcome.UNCHANGED)
        case 304:
            return Look(Outcome.UNCHANGED)
        case 503 if _NOT_READY in response.body.lower():
            reason = "503: PostHog is preparing them, or the project has no flags yet"
            return Look(Outcome.UNREACHABLE, reason, _NOT_READY_KIND, pause_s)
        case status if status >= 500:
            reason = f"{status} {response.excerpt()}".strip()
            return Look(Outcome.UNREACHABLE, reason, kind, pause_s)
    return Look(Outcome.REFUSED, _advice(response), kind, pause_s)


async def _fetch(outside: Outside, etag: str | None, user_agent: str) -> Response:
    headers = [
        ("Authorization", f"Bearer {outside.env['POSTHOG_PERSONAL_API_KEY'].strip()}"),
        ("User-Agent", user_agent),
    ]
    if etag is not None:
        headers.append(("If-None-Match", etag))
    host = normalise_host(outside.env.get("POSTHOG_HOST"))
    token = outside.env["POSTHOG_PROJECT_TOKEN"].strip()
    for fallback in (False, True):
        url = FLAG_DEFINITIONS.url(host, token=token, fallback=fallback)
        response = await outside.send(Request(FLAG_DEFINITIONS.method, url, tuple(headers)))
        if response.status != 404:
            break
    return response


async def _store(outside: Outside, response: Response) -> bool:
    """Hand definitions to the component; whether any differed from what it had."""
    args: dict[str, Value] = {
        "definitions": response.body.decode(),
        "etag": response.headers.get("etag"),
        "fetchedAt": outside.now_ms(),
    }
    changed = False
    # A call writes what fits into a transaction and says whether there is more.
    while True:
        stored = await outside.run_mutation("flags:store", args)
        assert isinstance(stored, dict)
        changed = changed or bool(stored["written"] or stored["deleted"])
        if stored["more"] is not True:
            return changed


class _Definitions(msgspec.Struct):
    flags: list[msgspec.Raw]


def _has_definitions(response: Response) -> bool:
    try:
        msgspec.json.decode(response.body, type=_Definitions)
    except msgspec.MsgspecError:
        return False
    return True


def _advice(response: Response) -> str:
    """What a person should do about an answer without definitions."""
    match response.status:
        case 401 | 403:
            return (
                f"PostHog refused the key for flag definitions ({response.status}): set "
                "POSTHOG_PERSONAL_API_KEY to a personal API key with the scope feature_flag:read "
                "(phx_…) or the project's secret key (phs_…)"
            )
        case 402:
            return "PostHog's quota for flag requests is used up (402): raise the limit in billing"
        case 429:
            return (
                "PostHog asks for fewer flag requests (429): raise "
                "POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS"
            )
        case status:
            return f"No flag definitions at this address (status {status}): check POSTHOG_HOST"
