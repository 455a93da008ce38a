"""The deployment's environment variables, as an operator sets them.

Owns the rules: names, sizes, what the app declares. Never reads the server's own environment. One
invariant: a change is all or nothing, and never leaves a declared variable missing or invalid that
was fine before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from pyconvex.database import Namespace, Transaction
from pyconvex.functions.component import RESERVED_VARIABLES
from pyconvex.runtime.app.spec import ComponentSpec, EnvSpec
from pyconvex.runtime.calls import EnvChange, HostError
from pyconvex.runtime.commits.system import SystemTransactions

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")
#: Variable names in the order of their declaration.
Names: TypeAlias = list[str]

#: Bytes of one value, and variables in all (Convex's limits in code).
MAX_VALUE_BYTES = 8192
MAX_VARIABLES = 512
#: Bytes of all names and values together.
MAX_TOTAL_BYTES = 512 * 1024


class MissingVariablesError(Exception):
    """The app declares required variables that are not set; it was not deployed."""

    def __init__(self, names: Names) -> None:
        self.names = names
        super().__init__(
            f"Required environment variables are not set: {', '.join(names)}. Set each with: "
            f"pyconvex env set {names[0]} <value>"
        )


class InvalidVariablesError(MissingVariablesError):
    """The app declares variables whose values it doesn't accept; it was not deployed."""

    def __init__(self, names: Names) -> None:
        super().__init__(names)
        self.args = (
            f"Environment variables do not match their declared validators: {', '.join(names)}. "
            f"Set each with: pyconvex env set {names[0]} <value>",
        )


def check_variables(app: Namespace, env: Sequence[EnvSpec]) -> None:
    """Refuse to deploy an app that declares `env` unless all it needs is set and accepted."""
    values = app.env_all()
    missing = [e.name for e in env if not e.optional and e.name not in values]
    if missing:
        raise MissingVariablesError(missing)
    wrong = [e.name for e in env if e.name in values and not _accepts(e, values[e.name])]
    if wrong:
        raise InvalidVariablesError(wrong)


class DeploymentEnvironment:
    """Lists and changes variables (`pyconvex.runtime.calls.Environment`)."""

    def __init__(
        self,
        system: SystemTransactions,
        on_change: Callable[[], None],
        audit: Callable[[str, Mapping[str, Any]], None] = lambda action, metadata: None,
    ) -> None:
        self._system = system
        self._on_change = on_change
        #: Hears what was changed, in Convex's words, and never a value.
        self._audit = audit

    def current(self) -> dict[str, str]:
        """All variables that are set, at once."""
        return self._system.read(lambda tx: tx.namespace("").env_all())

    async def apply(self, changes: Sequence[EnvChange]) -> None:
        """Make all changes in one transaction, or raise `HostError` (400) and make none."""
        for change in changes:
            _check_form(change)

        def work(tx: Transaction) -> dict[str, str]:
            app = tx.namespace("")
            declared, before = _declared(app), app.env_all()
            for change in changes:
                _check_declared(change, declared.get(change.name))
                app.set_env(change.name, change.value)
            _check_totals(app.env_all())
            return before

        before = await self._system.write(work)
        self._on_change()
        for change in changes:
            known = change.name in before
            if known or change.value is not None:
                verb = "delete" if change.value is None else "update" if known else "create"
                self._audit(f"{verb}_environment_variable", {"variable_name": change.name})

    def visible_to(self, env: Sequence[EnvSpec]) -> dict[str, str]:
        """The values that a component with these declarations sees now."""
        app = self.current()
        seen: dict[str, str] = {}
        for spec in env:
            value = spec.literal if spec.source is None else app.get(spec.source)
            if value is not None:
                seen[spec.name] = value
        return seen

    async def list(self) -> dict[str, str]:
        """All variables that are set."""
        return self.current()


def _check_totals(variables: Mapping[str, str]) -> None:
    if len(variables) > MAX_VARIABLES:
        raise HostError(
            400,
            "EnvVarLimitMet",
            f"The environment variable limit ({MAX_VARIABLES}) has been met.",
        )
    size = sum(len(name.encode()) + len(value.encode()) for name, value in variables.items())
    if size > MAX_TOTAL_BYTES:
        raise HostError(
            400,
            "EnvVarTotalSizeLimitMet",
            f"The total size of all environment variables ({size} bytes) exceeds the limit "
            f"({MAX_TOTAL_BYTES} bytes).",
        )


def _check_form(change: EnvChange) -> None:
    if not _NAME.fullmatch(change.name):
        raise _refused(
            f"'{change.name}' is not a valid environment variable name: letters, digits and _, "
            "no leading digit, at most 256."
        )
    if change.name in RESERVED_VARIABLES:
        raise _refused(f"{change.name} is set by the host and can't be changed.")
    if change.value is not None and len(change.value.encode()) > MAX_VALUE_BYTES:
        raise _refused(f"The value of {change.name} is over {MAX_VALUE_BYTES} bytes.")


def _declared(app: Namespace) -> dict[str, EnvSpec]:
    """What the app in force declares: a read, so that a deploy at the same time conflicts."""
    row = app.component()
    if row is None or row.version is None:
        return {}
    return {e.name: e for e in msgspec.json.decode(row.definition, type=ComponentSpec).env}


def _check_declared(change: EnvChange, declared: EnvSpec | None) -> None:
    if declared is None:
        return
    if change.value is None:
        if not declared.optional:
            raise _refused(
                f"Cannot delete required environment variables: {change.name}. These are "
                "declared as required in the app definition."
            )
    elif not _accepts(declared, change.value):
        raise _refused(
            f"Environment variable {change.name} does not match its declared validator: "
            f"{_shown(declared.validator)}."
        )


def _accepts(spec: EnvSpec, value: str) -> bool:
    words = _words(spec.validator)
    return words is None or value in words


def _shown(validator: dict[str, Any]) -> str:
    return " or ".join(repr(word) for word in sorted(_words(validator) or ()))


def _words(validator: dict[str, Any]) -> set[str] | None:
    """The values that a variable's validator accepts; None stands for every string."""
    match validator:
        case {"type": "literal", "value": str(word)}:
            return {word}
        case {"type": "union", "value": list(members)}:
            parts = [_words(member) for member in members]
            return None if None in parts else set().union(*(part or () for part in parts))
        case _:
            return None


def _refused(message: str) -> HostError:
    return HostError(400, "InvalidEnvironmentVariable", message)
