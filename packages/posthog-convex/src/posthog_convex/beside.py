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

import logging
import threading
from typing import Any, TypedDict

import msgspec

from posthog_convex.deployments import CallFailed, Deployment, Post, post_within

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
        self._deployment = Deployment(url, admin_key, post or post_within(timeout_s))
        self._component = component
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
            except CallFailed as trouble:
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
        """What the deployment has. Raises `CallFailed`."""
        stored = self._ask()
        if stored.data is None:
            return None
        try:
            found = msgspec.json.decode(stored.data, type=_Definitions)
        except msgspec.MsgspecError as error:
            raise CallFailed(f"the component's definitions can't be read ({error})") from None
        blank = not found.flags and stored.etag is None
        if blank and self._known is not None and self._known["flags"]:
            raise CallFailed(
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
        found = self._deployment.call(self._component, "lib:getFlagDefinitions")
        try:
            return msgspec.convert(found, _Stored)
        except msgspec.ValidationError:
            raise CallFailed(
                f"component {self._component!r} gave no definitions; check that it is PostHog's"
            ) from None

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


class _Stored(msgspec.Struct):
    data: str | None = None
    etag: str | None = None


class _Definitions(msgspec.Struct):
    flags: list[dict[str, Any]] = []
    group_types: dict[str, str] = msgspec.field(default_factory=dict, name="groupTypeMapping")
    cohorts: dict[str, Any] = {}
    matching_version: int = msgspec.field(default=1, name="propertyMatchingVersion")
