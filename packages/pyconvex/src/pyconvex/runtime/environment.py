"""The deployment's environment variables, as an operator sets them.

Owns the rules: names, sizes, what the app declares. Never reads the server's own environment. One
invariant: a change is all or nothing, and never leaves a declared variable missing or invalid that
was fine before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from pyconvex.database import Transaction
from pyconvex.runtime.calls import EnvChange, HostError
from pyconvex.runtime.spec import AppSpec, EnvSpec
from pyconvex.runtime.system import SystemTransactions

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")
#: Variable names in the order of their declaration.
Names: TypeAlias = list[str]

#: Set by the host, so nobody else may.
_RESERVED = {"CONVEX_CLOUD_URL", "CONVEX_SITE_URL"}
#: Bytes of one value, and variables in all (Convex's limits in code).
MAX_VALUE_BYTES = 8192
MAX_VARIABLES = 512


class DeploymentEnvironment:
    """Lists and changes variables (`pyconvex.runtime.calls.Environment`)."""

    def __init__(self, system: SystemTransactions, on_change: Callable[[], None]) -> None:
        self._system = system
        self._on_change = on_change
        self._spec: AppSpec | None = None

    def put_in_force(self, spec: AppSpec) -> None:
        """Check changes against what this app declares from now on."""
        self._spec = spec

    def current(self) -> dict[str, str]:
        """All variables that are set, at once."""
        return self._system.read(lambda tx: tx.namespace("").env_all())

    async def apply(self, changes: Sequence[EnvChange]) -> None:
        """Make all changes in one transaction, or raise `HostError` (400) and make none."""
        for change in changes:
            self._check(change)

        def work(tx: Transaction) -> None:
            app = tx.namespace("")
            for change in changes:
                app.set_env(change.name, change.value)
            if len(app.env_all()) > MAX_VARIABLES:
                raise _refused(f"At most {MAX_VARIABLES} environment variables can be set.")

        await self._system.write(work)
        self._on_change()

    def visible_to(self, env: Sequence[EnvSpec]) -> dict[str, str]:
        """The values that a component with these declarations sees now."""
        app = self.current()
        seen: dict[str, str] = {}
        for spec in env:
            value = spec.literal if spec.source is None else app.get(spec.source)
            if value is not None:
                seen[spec.name] = value
        return seen

    def missing(self, spec: AppSpec) -> Names:
        """Required variables of the app that nobody has set."""
        app = self.current()
        return [e.name for e in spec.root.env if not e.optional and e.name not in app]

    async def list(self) -> dict[str, str]:
        """All variables that are set."""
        return self.current()

    def _check(self, change: EnvChange) -> None:
        if not _NAME.fullmatch(change.name):
            raise _refused(
                f"'{change.name}' is not a valid environment variable name: letters, digits and _, "
                "no leading digit, at most 256."
            )
        if change.name in _RESERVED:
            raise _refused(f"{change.name} is set by the host and can't be changed.")
        declared = {e.name: e for e in self._spec.root.env} if self._spec else {}
        if change.value is None:
            if change.name in declared and not declared[change.name].optional:
                raise _refused(
                    f"Cannot delete required environment variables: {change.name}. These are "
                    "declared as required in the app definition."
                )
        elif len(change.value.encode()) > MAX_VALUE_BYTES:
            raise _refused(f"The value of {change.name} is over {MAX_VALUE_BYTES} bytes.")


def _refused(message: str) -> HostError:
    return HostError(400, "InvalidEnvironmentVariable", message)
