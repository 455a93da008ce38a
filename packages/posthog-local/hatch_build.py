"""What npm brought goes into the wheel; none of it is in the repository.

Owns which files those are. Without them, as before `npm ci` in browser/, the wheel is whole but for
the replay player, whose page then says what is missing.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_FILES = {
    "rrweb/umd/rrweb.min.js": "rrweb.js",
    "rrweb/dist/style.min.css": "rrweb.css",
}


class BrowserFiles(BuildHookInterface):  # type: ignore[type-arg]  # hatchling finds it by its base
    """Adds the files to a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before each build."""
        if version == "editable":
            return
        brought = Path(self.root) / "browser" / "node_modules"
        for source, name in _FILES.items():
            if (brought / source).exists():
                build_data["force_include"][str(brought / source)] = (
                    f"posthog_local/ui/brought/{name}"
                )
