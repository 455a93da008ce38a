"""Apps and components: what is installed where, and what it may read.

Owns the definitions that `convex_config.py` and component packages declare: environment, mounted
components, queues and lanes. Never loads functions. One invariant: a component reads only variables
that it declares and its parent binds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyconvex.functions.errors import DefinitionError
from pyconvex.functions.schema import Schema
from pyconvex.values import Validator
from pyconvex.values.validators import (
    LiteralValidator,
    OptionalValidator,
    StringValidator,
    UnionValidator,
)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
#: A header's name (RFC 9110, token).
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})
#: Variables of the host's own, which nobody may declare, bind or set.
RESERVED_VARIABLES = frozenset({"CONVEX_CLOUD_URL", "CONVEX_SITE_URL"})


@dataclass(frozen=True, slots=True)
class EnvRef:
    """A variable of the parent, bound to a component's variable."""

    name: str


class AppEnv:
    """The app's declared variables; attributes are references to bind: `app.env.POSTHOG_HOST`."""

    def __init__(self, declared: Mapping[str, Validator]) -> None:
        self._declared = dict(declared)

    def __getattr__(self, name: str) -> EnvRef:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in RESERVED_VARIABLES:
            return EnvRef(name)
        if name not in self._declared:
            raise DefinitionError(
                f'Env var "{name}" is not declared on this app. '
                "Add it to the `env` option of define_app."
            )
        return EnvRef(name)

    @property
    def declared(self) -> Mapping[str, Validator]:
        """Validators by name."""
        return self._declared


@dataclass(frozen=True, slots=True)
class Mount:
    """A component installed under a name, with its variables bound."""

    name: str
    component: ComponentDefinition
    env: Mapping[str, EnvRef | str]
    #: Where its HTTP routes begin, with `/` at the end; None leaves them out of reach.
    http_prefix: str | None = None


@dataclass(slots=True)
class ComponentDefinition:
    """A component: functions, tables, variables, queues and lanes of its own.

    Made with `define_component`; its package adds queues and lanes, an app mounts it.
    """

    name: str
    functions: str | None
    declared_env: Mapping[str, Validator]
    schema: Schema | None = None
    queues: list[str] = field(default_factory=list)
    #: Those of them that whoever mounts the component may append to.
    open_queues: set[str] = field(default_factory=set)
    lanes: list[str] = field(default_factory=list)
    mounts: list[Mount] = field(default_factory=list)
    #: Of an app, where its own HTTP routes begin; None for the root.
    http_prefix: str | None = None

    def queue(self, name: str, *, open: bool = False) -> str:
        """Declare a queue, into which the component's functions append and which a lane drains.

        Mutations of whoever mounts the component may append to an open one too, without a call of
        the component: the lane must be able to deal with whatever they append.
        """
        _check_name(name, "queue")
        self.queues.append(name)
        if open:
            self.open_queues.add(name)
        return name

    def lane(self, import_path: str) -> None:
        """Declare a lane by import path, such as `"shop_mail.lanes:MailLane"`.

        The class runs in the lane process, never in an isolate, and takes no slot from the app.
        """
        module, _, attribute = import_path.partition(":")
        if not module or not attribute:
            raise DefinitionError(f"lane {import_path!r} must have the form 'package.module:Class'")
        self.lanes.append(import_path)

    def use(
        self,
        component: ComponentDefinition,
        *,
        name: str | None = None,
        env: AppEnv | Mapping[str, EnvRef | str] | None = None,
        http_prefix: str | None = None,
    ) -> None:
        """Mount a component. `env` maps its variables; an app's whole `env` forwards by name.

        With `http_prefix`, such as `"/stripe/"`, the component's HTTP routes are served below that
        path; without one nobody reaches them.
        """
        if isinstance(component, AppDefinition):
            raise DefinitionError(
                "An app can't be mounted: use a component that define_component made."
            )
        if not isinstance(component, ComponentDefinition):
            raise DefinitionError(
                f"use(…) takes a component that define_component made, not {component!r}."
            )
        if component is self:
            raise DefinitionError(f"Component {self.name!r} can't be mounted in itself.")
        mount_name = name or component.name
        _check_name(mount_name, "component")
        if any(mount.name == mount_name for mount in self.mounts):
            raise DefinitionError(
                f"{self.name!r} has multiple child components with the name {mount_name!r}; "
                "give one another name with use(…, name=…)."
            )
        bound = _bindings(component, mount_name, env)
        for variable, binding in bound.items():
            _check_binding(self, component, mount_name, variable, binding)
        prefix = None if http_prefix is None else _http_prefix(http_prefix)
        if prefix is not None and any(mount.http_prefix == prefix for mount in self.mounts):
            raise DefinitionError(f"Two components are mounted with the http_prefix {prefix!r}.")
        self.mounts.append(Mount(mount_name, component, bound, prefix))

    @property
    def env(self) -> AppEnv:
        """References to the declared variables, to bind in `use(…, env=…)`."""
        return AppEnv(self.declared_env)


#: Finds the person in an identity: the id that `ctx.user_id` gives, or None for nobody.
UserIdRule = Callable[[Mapping[str, Any]], str | None]


@dataclass(slots=True)
class AppDefinition(ComponentDefinition):
    """The root: what `app` in `convex_config.py` must be."""

    #: None leaves it at the subject.
    user_id: UserIdRule | None = None
    report_variables: bool = False
    #: In lower case; "" for none.
    session_header: str = ""


def define_app(
    *,
    env: Mapping[str, Validator] | None = None,
    user_id: UserIdRule | None = None,
    http_prefix: str | None = None,
    report_variables: bool = False,
    session_header: str | None = None,
) -> AppDefinition:
    """Declare the app and the variables that it needs.

    `user_id` says whose call it is, from the attributes of the caller's identity: what it returns
    is `ctx.user_id` everywhere. Without it that is the identity's subject (for tokens of this
    deployment's own sign-in, the id in `users`). With `http_prefix`, the routes of the app's
    `http.py` begin there; those of components don't move. With `report_variables`, the reports of
    uncaught errors show the local variables of the app's own frames, without those whose names
    speak of secrets. `session_header`, such as `"x-posthog-session-id"`, names the header of HTTP
    calls that carries the session of the caller's analytics: `ctx.session_id`.

    >>> from pyconvex.values import v
    >>> app = define_app(env={"API_KEY": v.string()})
    >>> app.env.API_KEY
    EnvRef(name='API_KEY')
    """
    return AppDefinition(
        "",
        functions=None,
        declared_env=_declared(env),
        http_prefix=None if http_prefix is None else _http_prefix(http_prefix),
        user_id=user_id,
        report_variables=report_variables,
        session_header="" if session_header is None else _session_header(session_header),
    )


def define_component(
    name: str,
    *,
    functions: str,
    env: Mapping[str, Validator] | None = None,
    schema: Schema | None = None,
) -> ComponentDefinition:
    """Declare a component whose function modules are the modules of the package `functions`."""
    _check_name(name, "component")
    return ComponentDefinition(name, functions, _declared(env), schema)


def _check_name(name: str, what: str) -> None:
    if not _NAME.fullmatch(name):
        raise DefinitionError(
            f"{name!r} is no valid {what} name: letters, digits and _, at most 64, no leading "
            "digit."
        )


def _session_header(name: str) -> str:
    if not isinstance(name, str) or not _HEADER.fullmatch(name):
        raise DefinitionError(f"The session_header {name!r} is no name of a header.")
    if name.lower() in _SECRET_HEADERS:
        raise DefinitionError(
            f"The session_header {name!r} carries credentials, which belong into no log."
        )
    return name.lower()


def _http_prefix(prefix: str) -> str:
    if not isinstance(prefix, str) or not prefix.startswith("/"):
        raise DefinitionError(f"The http_prefix {prefix!r} must be a path that begins with '/'.")
    if any(mark in prefix for mark in "*?#"):
        raise DefinitionError(f"The http_prefix {prefix!r} must not hold '*', '?' or '#'.")
    return prefix.rstrip("/") + "/"


def _declared(env: Mapping[str, Validator] | None) -> dict[str, Validator]:
    for name, validator in (env or {}).items():
        if not _NAME.fullmatch(name):
            raise DefinitionError(f"{name!r} is no valid name of a variable.")
        if name in RESERVED_VARIABLES:
            raise DefinitionError(f"Env var {name!r} is set by the host and can't be declared.")
        _accepted(name, validator)
    return dict(env or {})


def _accepted(name: str, validator: Validator) -> frozenset[str] | None:
    """The values that a variable may have; None stands for every string."""
    match validator:
        case OptionalValidator(inner=inner):
            return _accepted(name, inner)
        case StringValidator():
            return None
        case LiteralValidator(value=str(word)):
            return frozenset({word})
        case UnionValidator(members=members) if members:
            parts = [_accepted(name, member) for member in members]
            words = [part for part in parts if part is not None]
            return frozenset().union(*words) if len(words) == len(parts) else None
    raise DefinitionError(
        f"Env var {name!r} has a non-string validator, {validator}. Values are strings: use "
        "v.string(), string literals, or unions of those, each optional or not."
    )


def _check_binding(
    parent: ComponentDefinition,
    component: ComponentDefinition,
    mount: str,
    name: str,
    binding: object,
) -> None:
    """Refuse a binding whose value could be none that the component declares."""
    wanted = component.declared_env[name]
    accepted = _accepted(name, wanted)
    if isinstance(binding, str):
        if accepted is not None and binding not in accepted:
            raise DefinitionError(
                f"Component {mount!r} has an invalid value for env var {name}: {binding!r} does "
                f"not match {wanted}."
            )
        return
    if not isinstance(binding, EnvRef):
        raise DefinitionError(
            f'Env var "{name}" of component {mount!r} must be a string or an env var reference '
            f"such as app.env.{name}, not {binding!r}."
        )
    source = parent.declared_env.get(binding.name)
    if source is None:
        raise DefinitionError(
            f"Component {mount!r} references undeclared parent env var {binding.name}."
        )
    if source.is_optional and not wanted.is_optional:
        raise DefinitionError(
            f"Component {mount!r}: env var {name} is required, but parent env var {binding.name} "
            "is optional."
        )
    given = _accepted(binding.name, source)
    if accepted is not None and (given is None or not given <= accepted):
        raise DefinitionError(
            f"Component {mount!r}: the validator of env var {name}, {wanted}, is not satisfied by "
            f"that of parent env var {binding.name}, {source}."
        )


def _bindings(
    component: ComponentDefinition, mount: str, env: AppEnv | Mapping[str, EnvRef | str] | None
) -> dict[str, EnvRef | str]:
    if isinstance(env, AppEnv):
        bound: dict[str, EnvRef | str] = {
            name: EnvRef(name) for name in component.declared_env if name in env.declared
        }
    else:
        bound = dict(env or {})
    unknown = sorted(set(bound) - set(component.declared_env))
    if unknown:
        raise DefinitionError(f"Component {mount!r} has no env var named {', '.join(unknown)}.")
    missing = sorted(
        name
        for name, validator in component.declared_env.items()
        if name not in bound and not validator.is_optional
    )
    if missing:
        raise DefinitionError(
            f"Component {mount!r} is missing required env var {', '.join(missing)}: declare it in "
            "define_app(env=…) and pass env=app.env, or bind it in app.use(…, env={…})."
        )
    return bound
