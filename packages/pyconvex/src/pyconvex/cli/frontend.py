"""What a frontend beside the functions folder gets from `pyconvex dev`: types, address, variables.

Owns which of them are written where. Never serves anything. One invariant: of the deployment's
variables only those are written whose name says that browsers may see them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pyconvex.cli import env_local
from pyconvex.cli.generated import ForeignFilesError, write_types
from pyconvex.runtime.app.spec import AppSpec

#: Variables with such a name end up in what browsers load.
PUBLIC_PREFIXES = ("VITE_", "NEXT_PUBLIC_")

#: Where frameworks want the address, by the npm package that tells them; Vite is taken for granted.
_ADDRESS_OF = {
    "next": "NEXT_PUBLIC_CONVEX_URL",
    "expo": "EXPO_PUBLIC_CONVEX_URL",
    "@sveltejs/kit": "PUBLIC_CONVEX_URL",
    "nuxt": "NUXT_PUBLIC_CONVEX_URL",
}


class Frontend:
    """The project folder around a functions folder."""

    def __init__(self, project: Path, functions: Path, *, types: bool = True) -> None:
        self._project = project
        self._functions = functions
        self._types = types
        self._addresses: dict[str, str] = {}
        #: The public variables that stand in `.env.local` because of us.
        self._shared: set[str] = set()

    def reach(self, url: str, site_url: str, admin_key: str) -> None:
        """Write where the deployment is, for browsers and for tools."""
        packages = self._packages()
        frameworks = [name for package, name in _ADDRESS_OF.items() if package in packages]
        for_browsers = [env_local.BROWSER_URL_VARIABLE, *frameworks]
        sites = [f"{name.removesuffix('_URL')}_SITE_URL" for name in for_browsers]
        self._addresses = {
            **dict.fromkeys([*for_browsers, env_local.URL_VARIABLE], url),
            **dict.fromkeys(sites, site_url),
        }
        env_local.write(self._project, {**self._addresses, env_local.KEY_VARIABLE: admin_key})

    def share(self, variables: Mapping[str, str]) -> None:
        """Write the public ones of the deployment's variables, and take back what is gone."""
        public = {
            name: value
            for name, value in variables.items()
            if name.startswith(PUBLIC_PREFIXES)
            and name not in self._addresses
            and env_local.can_hold(value)
        }
        gone = dict.fromkeys(self._shared - public.keys())
        if public or gone:
            env_local.write(self._project, {**public, **gone})
        self._shared = set(public)

    def describe(self, spec: AppSpec) -> str | None:
        """Write the app's types; why not, if they can't be, said once."""
        if not self._types:
            return None
        try:
            write_types(self._functions, spec)
        except (ForeignFilesError, OSError) as error:
            self._types = False
            return f"No types were written: {error}"
        return None

    def _packages(self) -> set[str]:
        try:
            described = json.loads((self._project / "package.json").read_text())
            return {*described.get("dependencies", ()), *described.get("devDependencies", ())}
        except (OSError, ValueError, AttributeError, TypeError):
            return set()  # none, or one that its own tools complain about
