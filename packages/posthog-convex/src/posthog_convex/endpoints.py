"""Where PostHog is reached: hosts, paths, versions, fallbacks.

Owns the table of endpoints and the reading of `POSTHOG_HOST`. Never sends anything. One invariant:
no other module of this package spells a path or a host of PostHog.
"""

from __future__ import annotations

from types import MappingProxyType
from urllib.parse import quote, urlsplit

import msgspec


class Endpoint(msgspec.Struct, frozen=True):
    """One route of PostHog's public surface, as it is today."""

    method: str
    path: str
    #: The protocol's own version, as PostHog counts it.
    version: str
    #: The older route that answers the same, for receivers that don't know `path` (404).
    fallback: str | None = None
    query: str = ""

    def url(self, host: str, *, token: str = "", key: str = "", fallback: bool = False) -> str:
        """The address on a normalised host; `token` and a flag's `key` fill the placeholders."""
        path = self.fallback if fallback and self.fallback else self.path
        path = path.replace("{key}", quote(key, safe=""))
        query = self.query.format(token=quote(token, safe=""))
        return f"{host}{path}?{query}" if query else f"{host}{path}"


#: Many events in one request, token in the body. `sent_at` is optional and we leave it out.
BATCH = Endpoint("POST", "/batch/", "capture v0")

#: Spans about AI, at most 100 of them and 2 MiB a request.
AI_SPANS = Endpoint("POST", "/i/v0/ai/otel", "OTLP over HTTP, v0")

#: Flag definitions for local evaluation, conditional by ETag.
FLAG_DEFINITIONS = Endpoint(
    "GET",
    "/flags/definitions",
    "local evaluation, 2025",
    fallback="/api/feature_flag/local_evaluation",
    query="token={token}&send_cohorts",
)

#: Flags evaluated by PostHog, for one person.
FLAGS = Endpoint("POST", "/flags/", "flags, 2", query="v=2")

#: The older route of the same, for receivers that don't know `FLAGS` (404).
DECIDE = Endpoint("POST", "/decide", "decide, 3", query="v=3")

#: The decrypted payload of a flag that only carries configuration.
REMOTE_CONFIG = Endpoint(
    "GET",
    "/api/projects/@current/feature_flags/{key}/remote_config",
    "feature flags API",
    query="token={token}",
)

#: Log records over OTLP; the token goes into the header `Authorization`.
LOGS = Endpoint("POST", "/i/v1/logs", "OTLP 1")

DEFAULT_HOST = "https://us.i.posthog.com"

EU_HOST = "https://eu.i.posthog.com"
#: The other region of PostHog's cloud: a project is in one of them.
OTHER_REGION = MappingProxyType({DEFAULT_HOST: EU_HOST, EU_HOST: DEFAULT_HOST})

#: Addresses that people copy, of the web app and of pages in it, and where their events belong.
_INGESTION_HOSTS = MappingProxyType(
    {
        "app.posthog.com": DEFAULT_HOST,
        "us.posthog.com": DEFAULT_HOST,
        "us.i.posthog.com": DEFAULT_HOST,
        "eu.posthog.com": EU_HOST,
        "eu.i.posthog.com": EU_HOST,
    }
)


def normalise_host(text: str | None) -> str:
    """The address to put paths behind, without a slash at the end.

    >>> normalise_host(" https://eu.posthog.com/project/7 ")
    'https://eu.i.posthog.com'
    >>> normalise_host(None)
    'https://us.i.posthog.com'
    """
    host = (text or "").strip().rstrip("/")
    if not host:
        return DEFAULT_HOST
    if "://" not in host:
        host = f"{'http' if _is_local(host) else 'https'}://{host}"
    return _INGESTION_HOSTS.get(urlsplit(host).hostname or "", host)


def _is_local(host: str) -> bool:
    name = host.partition(":")[0].partition("/")[0].lower()
    return name == "localhost" or name.startswith("127.") or name.startswith("[")
