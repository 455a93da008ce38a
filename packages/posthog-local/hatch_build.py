"""What npm brought goes into the wheel; none of it is in the repository.

Owns which files those are: posthog-js's scripts that a browser loads, and its licence. Without
them, as before `npm ci` in browser/, the wheel is whole but for those: a browser then has to bring
its own (`--posthog-js`), and the replay page says what is missing.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# For bundlers, not for a browser.
_NOT_LOADED = (
    "all-external-dependencies",
    "customizations",
    "default-extensions",
    "extension-bundles",
    "main",
    "module",
    "rrweb-types",
)


class BrowserFiles(BuildHookInterface):  # type: ignore[type-arg]  # hatchling finds it by its base
    """Adds the files to a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before each build."""
        if version == "editable":
            return
        package = Path(self.root) / "browser" / "node_modules" / "posthog-js"
        scripts = [
            file
            for file in sorted((package / "dist").glob("*.js"))
            if not file.name.startswith(_NOT_LOADED)
        ]
        for file in [*scripts, *package.glob("LICENSE")]:
            build_data["force_include"][str(file)] = f"posthog_local/browser/brought/{file.name}"
