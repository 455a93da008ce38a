"""Browser code of others that npm brings when the wheel is built, such as the replay player.

Owns where those files lie: inside an installed wheel, or beside a checkout's sources after `npm ci`
in packages/posthog-local/browser. None of them is in the repository, so each may be missing.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
_CHECKOUT = _HERE.parents[2] / "browser" / "node_modules"
_FILES = {
    "rrweb.js": ("rrweb/umd/rrweb.min.js", "text/javascript"),
    "rrweb.css": ("rrweb/dist/style.min.css", "text/css"),
}


def brought_file(name: str) -> tuple[Path, str] | None:
    """Where a file lies, with its media type; None when it was not brought, or is none of these."""
    if name not in _FILES:
        return None
    source, media_type = _FILES[name]
    places = (_HERE / "brought" / name, _CHECKOUT / source)
    return next(((place, media_type) for place in places if place.is_file()), None)
