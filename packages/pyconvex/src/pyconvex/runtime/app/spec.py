"""What a deploy found, as values that cross processes.

Owns the description of an analysed app: components, functions, tables, queues and lanes. Never
holds code. One invariant: the server decides with this alone; it never imports the app.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pyconvex.functions.auth_config import SITE_URL
from pyconvex.functions.schedules import Schedule


class FunctionSpec(msgspec.Struct, frozen=True):
    """One function, as the function spec lists it."""

    path: str
    kind: str
    public: bool
    args: dict[str, Any]
    returns: dict[str, Any]


class EnvSpec(msgspec.Struct, frozen=True):
    """One declared variable: what it must be, and where its value comes from."""

    name: str
    validator: dict[str, Any]
    optional: bool
    #: The app-level variable that gives the value; None when `literal` does or nothing is bound.
    source: str | None = None
    literal: str | None = None


class RouteSpec(msgspec.Struct, frozen=True):
    """One route of an HTTP router: a method, and a path or the beginning of paths."""

    method: str
    path: str
    prefix: bool
    #: Names the handler inside its component: `POST /hook`.
    name: str


class HttpSpec(msgspec.Struct, frozen=True):
    """How a component answers HTTP requests."""

    routes: list[RouteSpec]
    #: Where its routes begin in its parent, with `/` at the end; None where they are not reachable.
    prefix: str | None = None


class TableSpec(msgspec.Struct, frozen=True):
    """One table and its indexes."""

    name: str
    indexes: dict[str, list[str]]
    #: Names the validator of its documents: another one must be met by those that are stored.
    #: Empty when nothing is checked.
    validator: str = ""
    #: Indexes that are built in the background and that no query uses yet.
    staged: dict[str, list[str]] = {}
    #: What its documents must be, without system fields, as the function spec says such things.
    document: dict[str, Any] = {}


class CronSpec(msgspec.Struct, frozen=True):
    """One cron job: what it runs, with which arguments, and when."""

    name: str
    schedule: Schedule
    path: str
    kind: str
    #: Tagged JSON of the arguments object.
    arguments: str


class ComponentSpec(msgspec.Struct, frozen=True):
    """One component instance; the app itself has the path ""."""

    path: str
    version: str
    functions: list[FunctionSpec]
    env: list[EnvSpec]
    tables: list[TableSpec]
    queues: list[str]
    lanes: list[str]
    crons: list[CronSpec] = []
    #: None for a component that neither has routes nor mounts any.
    http: HttpSpec | None = None


class SettingSpec(msgspec.Struct, frozen=True):
    """A text that is spelled out, or the variable that holds it."""

    literal: str | None = None
    source: str | None = None


class ProviderSpec(msgspec.Struct, frozen=True):
    """One identity provider; `jwks` and `algorithm` are those of a custom JWT provider alone."""

    issuer: SettingSpec
    application_id: SettingSpec | None = None
    jwks: SettingSpec | None = None
    algorithm: str | None = None

    @property
    def is_this_deployment(self) -> bool:
        """True when it trusts what this deployment signs."""
        return self.jwks is None and self.issuer.source == SITE_URL


class AuthSpec(msgspec.Struct, frozen=True):
    """Whom the app trusts, and whether it says itself which person an identity is."""

    providers: list[ProviderSpec] = []
    user_id_rule: bool = False


class AppSpec(msgspec.Struct, frozen=True):
    """Everything that one deploy puts into force."""

    components: list[ComponentSpec]
    auth: AuthSpec = AuthSpec()
    #: The header whose value names a caller's session, in lower case; "" for none.
    session_header: str = ""

    @property
    def root(self) -> ComponentSpec:
        """The app itself."""
        return next(c for c in self.components if c.path == "")
