"""Apps and components: what is installed where, and what it may read.

Owns the definitions that `convex_config.py` and component packages declare: environment, mounted
components, queues and lanes. Never loads functions. One invariant: a component reads only variables
that it declares and its parent binds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pyconvex.functions.errors import DefinitionError
from pyconvex.functions.schema import Schema
from pyconvex.values import Validator

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


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
    lanes: list[str] = field(default_factory=list)
    mounts: list[Mount] = field(default_factory=list)

    def queue(self, name: str) -> str:
        """Declare a queue, into which the component's functions append and which a lane drains."""
        _check_name(name, "queue")
        self.queues.append(name)
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
    ) -> None:
        """Mount a component. `env` maps its variables; an app's whole `env` forwards by name."""
        mount_name = name or component.name
        _check_name(mount_name, "component")
        if any(mount.name == mount_name for mount in self.mounts):
            raise DefinitionError(
                f"{self.name!r} has multiple child components with the name {mount_name!r}; "
                "give one another name with use(…, name=…)."
            )
        self.mounts.append(Mount(mount_name, component, _bindings(component, mount_name, env)))


class AppDefinition(ComponentDefinition):
    """The root: what `app` in `convex_config.py` must be."""

    @property
    def env(self) -> AppEnv:
        """References to the declared variables, to bind in `use(…, env=…)`."""
        return AppEnv(self.declared_env)


def define_app(*, env: Mapping[str, Validator] | None = None) -> AppDefinition:
    """Declare the app and the variables that it needs.

    >>> from pyconvex.values import v
    >>> app = define_app(env={"API_KEY": v.string()})
    >>> app.env.API_KEY
    EnvRef(name='API_KEY')
    """
    return AppDefinition(name="", functions=None, declared_env=dict(env or {}))


def define_component(
    name: str,
    *,
    functions: str,
    env: Mapping[str, Validator] | None = None,
    schema: Schema | None = None,
) -> ComponentDefinition:
    """Declare a component whose function modules are the modules of the package `functions`."""
    _check_name(name, "component")
    return ComponentDefinition(name, functions, dict(env or {}), schema)


def _check_name(name: str, what: str) -> None:
    if not _NAME.fullmatch(name):
        raise DefinitionError(
            f"{name!r} is no valid {what} name: letters, digits and _, at most 64, no leading "
            "digit."
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
