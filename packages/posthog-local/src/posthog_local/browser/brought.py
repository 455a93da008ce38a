"""posthog-js's own scripts, which npm brings when the wheel is built.

Owns where they lie: inside an installed wheel, or beside a checkout's sources after `npm ci` in
packages/posthog-local/browser. None of them is in the repository, so they may be missing.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
_PLACES = (
    _HERE / "brought",
    _HERE.parents[2] / "browser" / "node_modules" / "posthog-js" / "dist",
)
# What the replay page plays with: the recorder's own counterpart.
PLAYER = "rrweb.js"


def brought_scripts(places: tuple[Path, ...] = _PLACES) -> Path | None:
    """The folder of the scripts; None when they were not brought."""
    return next((place for place in places if (place / "array.js").is_file()), None)
