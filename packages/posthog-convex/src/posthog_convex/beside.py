"""Python beside a Convex deployment: flag definitions that its PostHog component has already.

Owns a `FlagDefinitionCacheProvider` for PyPI `posthog`. Never asks PostHog and never writes to the
deployment. One invariant: once definitions have arrived the provider gives some, the last good
ones, whatever happens to the deployment or to PostHog.

    from posthog import Posthog
    from posthog_convex import FlagDefinitionsFromConvex

    definitions = FlagDefinitionsFromConvex("https://happy-otter-123.convex.cloud", admin_key)
    client = Posthog(token, secret_key=key, flag_definition_cache_provider=definitions)
"""

from __future__ import annotations

import json
import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from typing import Any, TypeAlias, TypedDict
from urllib.parse import urlsplit

import msgspec

_LOG = logging.getLogger("posthog_convex.beside")
#: As long as the SDK waits for definitions from PostHog itself.
TIMEOUT_S = 10.0


class ConvexUnavailable(Exception):
    """The deployment gave no definitions, and there were none before; the message says why."""


class FlagDefinitions(TypedDict, total=False):
    """Definitions as PyPI `posthog` takes them over."""

    flags: list[dict[str, Any]]
    group_type_mapping: dict[str, str]
    cohorts: dict[str, Any]
    property_matching_version: int


#: Sends a body to an address with headers; returns the answer's body. Raises `OSError`.
Post: TypeAlias = Callable[[str, bytes, dict[str, str]], bytes]


class FlagDefinitionsFromConvex:
    """Reads the definitions which the PostHog component of a Convex deployment keeps fresh.

    For PyPI `posthog` in any process beside that deployment: however many processes there are,
    only the component asks PostHog. It works with npm `@posthog/convex` and with this package's
    component, mounted as `component`. The admin key may do everything in the deployment: give it to
    servers only.

    While the deployment can't be reached, and when the component has replaced its definitions by
    nothing because PostHog had an incident, the last good ones stay in force; `status` says so.
    """

    def __init__(
        self,
        url: str,
        admin_key: str,
        *,
        component: str = "posthog",
        timeout_s: float = TIMEOUT_S,
        post: Post | None = None,
    ) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(f"{url!r} is no address of a deployment: it begins with https://")
        self._url = f"{url.strip().rstrip('/')}/api/function"
        self._admin_key = admin_key.strip()
        self._component = component
        self._post = post or _post_within(timeout_s)
        self._lock = threading.Lock()
        #: The last good definitions; None before the first.
        self._known: FlagDefinitions | None = None
        #: What the last look met; None when it was fine.
        self._trouble: str | None = None

    @property
    def status(self) -> str | None:
        """What is wrong with the last look, and what to do; None when it went well."""
        return self._trouble

    def should_fetch_flag_definitions(self) -> bool:
        """Never: the component fetches them."""
        return False

    def get_flag_definitions(self) -> FlagDefinitions | None:
        """The definitions as the deployment has them, or the last good ones.

        None, upon which the SDK asks PostHog itself, while the component has none yet. Raises
        `ConvexUnavailable` when there are none at all.
        """
        with self._lock:
            try:
                found = self._read()
            except _Trouble as trouble:
                return self._kept(str(trouble))
            if found is not None:
                self._known = found
            self._note(None)
            return self._known

    def on_flag_definitions_received(self, data: Any) -> None:
        """Nothing to do: the component has its own."""

    def shutdown(self) -> None:
        """Nothing to let go of."""

    def _read(self) -> FlagDefinitions | None:
        """What the deployment has. Raises `_Trouble`."""
        stored = self._ask()
        if stored.data is None:
            return None
        try:
            found = msgspec.json.decode(stored.data, type=_Definitions)
        except msgspec.MsgspecError as error:
            raise _Trouble(f"the component's definitions can't be read ({error})") from None
        blank = not found.flags and stored.etag is None
        if blank and self._known is not None and self._known["flags"]:
            raise _Trouble(
                "the component has replaced its definitions by nothing, as it does when PostHog "
                "answers 402 or 503; look at PostHog's billing and at the component's log"
            )
        return FlagDefinitions(
            flags=found.flags,
            group_type_mapping=found.group_types,
            cohorts=found.cohorts,
            property_matching_version=found.matching_version,
        )

    def _ask(self) -> _Stored:
        body = {
            "path": "lib:getFlagDefinitions",
            "args": {},
            "format": "json",
            "componentPath": self._component,
        }
        headers = {
            "Authorization": f"Convex {self._admin_key}",
            "Content-Type": "application/json",
        }
        try:
            text = self._post(self._url, json.dumps(body).encode(), headers)
        except (OSError, HTTPException) as error:
            raise _Trouble(_unreachable(error)) from None
        try:
            answer = msgspec.json.decode(text, type=_Answer)
        except msgspec.MsgspecError:
            raise _Trouble("something else than a Convex deployment answered; check url") from None
        if answer.status != "success" or answer.value is None:
            reason = answer.error_message or "no value"
            raise _Trouble(
                f"component {self._component!r} gave no definitions ({reason}); check that it is "
                "mounted under that name"
            )
        return answer.value

    def _kept(self, trouble: str) -> FlagDefinitions:
        self._note(trouble)
        if self._known is None:
            raise ConvexUnavailable(f"No flag definitions from Convex: {trouble}.")
        return self._known

    def _note(self, trouble: str | None) -> None:
        """Remember and say it, once for each change."""
        if trouble != self._trouble:
            if trouble is not None:
                _LOG.warning("Flag definitions from Convex: %s. The last ones are kept.", trouble)
            else:
                _LOG.info("Flag definitions from Convex are fresh again.")
            self._trouble = trouble


class _Trouble(Exception):
    """Why a look brought nothing."""


class _Stored(msgspec.Struct):
    data: str | None = None
    etag: str | None = None


class _Answer(msgspec.Struct, rename="camel"):
    status: str
    value: _Stored | None = None
    error_message: str | None = None


class _Definitions(msgspec.Struct):
    flags: list[dict[str, Any]] = []
    group_types: dict[str, str] = msgspec.field(default_factory=dict, name="groupTypeMapping")
    cohorts: dict[str, Any] = {}
    matching_version: int = msgspec.field(default=1, name="propertyMatchingVersion")


def _unreachable(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        advice = "check the admin key" if error.code in (401, 403) else "check url"
        return f"the deployment answered with status {error.code}; {advice}"
    return f"the deployment could not be reached ({error})"


def _post_within(timeout_s: float) -> Post:
    def post(url: str, body: bytes, headers: dict[str, str]) -> bytes:
        request = urllib.request.Request(url, body, headers)  # noqa: S310 - the scheme is checked
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
            content: bytes = answer.read()
            return content

    return post
