"""Stack frames of every platform, in the one resolved form that PostHog keeps.

Owns how each platform's frame is read, and whose code it is: what a sender did not say is the
app's, but for Python's library and installed packages. Source maps are not applied here, so a
minified browser frame stays unresolved and says so.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping
from typing import Any

# Frames of these come from minified bundles; without the source map their names mean nothing.
_BUNDLED = frozenset(["web:javascript", "javascript", "hermes"])
_INSTALLED = re.compile(r"[/\\](?:dist|site)-packages[/\\]")
_LIBRARY = re.compile(r"[/\\][Ll]ib[/\\]python[0-9]+(?:\.[0-9]+)?[/\\]")
#: Such as `<frozen importlib._bootstrap>`.
_PSEUDO = re.compile(r"(?:\A|[/\\])<[^/\\]*>\Z")
_LANGUAGES = {
    "node:javascript": "javascript",
    "web:javascript": "javascript",
    "hermes": "hermes",
}


def resolve(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The resolved form of one raw frame; source context stays on the frame."""
    platform = _text(raw.get("platform")) or "custom"
    source = _text(raw.get("filename")) or _text(raw.get("abs_path"))
    name = _text(raw.get("function"))
    resolved = _is_resolved(raw, platform)
    named = resolved or platform == "custom"
    frame: dict[str, Any] = {
        "raw_id": _raw_id(raw),
        "mangled_name": name or "",
        "line": _number(raw.get("lineno")),
        "column": _number(raw.get("colno")),
        "source": source,
        "in_app": raw.get("in_app") is not False and not _is_library(raw, platform),
        "resolved_name": name if named else None,
        "lang": _text(raw.get("lang")) or _LANGUAGES.get(platform, platform),
        "resolved": resolved,
        "resolve_failure": None if named else "no source map for this frame",
        "synthetic": raw.get("synthetic") is True,
        "suspicious": False,
        "module": _text(raw.get("module")),
    }
    return {**frame, **_context(raw)}


def _context(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The source around the frame, and its variables, as far as they have their shape."""
    found: dict[str, Any] = {}
    if isinstance(raw.get("context_line"), str):
        found["context_line"] = raw["context_line"]
    for field in ("pre_context", "post_context"):
        if isinstance(raw.get(field), list):
            found[field] = [line for line in raw[field] if isinstance(line, str)]
    if _text(raw.get("platform")) in (None, "custom"):
        # These come with the nearest line first.
        found |= {"pre_context": found["pre_context"][::-1]} if "pre_context" in found else {}
    if isinstance(raw.get("code_variables"), dict):
        found["code_variables"] = raw["code_variables"]
    return found


def _is_resolved(raw: Mapping[str, Any], platform: str) -> bool:
    if platform == "custom":
        return raw.get("resolved") is True
    return platform not in _BUNDLED


def _is_library(raw: Mapping[str, Any], platform: str) -> bool:
    """Whether a Python frame is of the library or of an installed package, whatever it says."""
    if platform != "python":
        return False
    path, filename = _text(raw.get("abs_path")), _text(raw.get("filename")) or ""
    of_library = (_text(raw.get("module")) or "").partition(".")[0] in sys.stdlib_module_names
    if of_library and any(_PSEUDO.search(each) for each in (filename, path or "")):
        return True
    if path is not None:
        return _INSTALLED.search(path) is not None or _LIBRARY.search(path) is not None
    return _INSTALLED.search(filename) is not None or of_library


def _raw_id(raw: Mapping[str, Any]) -> str:
    parts = [str(raw.get(field)) for field in ("filename", "function", "lineno", "colno")]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
