"""Where a deployment's key is found: in a variable, or in the `.env.local` of the project.

Owns reading that file, and telling whether two addresses are one. Never shows a key. Invariant: a
key from `.env.local` goes to the deployment that this file names, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from posthog_convex.warehouse.refusal import SyncRefused
from posthog_convex.warehouse.sync.config import DeploymentPart

#: What `pyconvex dev` and Convex's own command line write, and what they call these.
ENV_LOCAL = ".env.local"
URL_VARIABLE = "CONVEX_SELF_HOSTED_URL"
KEY_VARIABLE = "CONVEX_SELF_HOSTED_ADMIN_KEY"
_HERE = ("localhost", "127.0.0.1", "::1", "0.0.0.0")  # noqa: S104 - nothing listens by this
_PORTS = {"http": 80, "https": 443}


def key_of(part: DeploymentPart, environment: Mapping[str, str], folder: Path) -> str:
    """The key of a configuration in this folder. Raises SyncRefused where there is none."""
    key = environment.get(part.key_env, "")
    if key.strip():
        return key
    beside = project_of(folder)
    if same_address(beside.get(URL_VARIABLE, ""), part.url) and beside.get(part.key_env):
        return beside[part.key_env]
    raise SyncRefused(
        "no_key",
        f"The variable {part.key_env} holds no key for {part.url}",
        "Set it to a deploy key or an admin key with the permission deployment:data:view; that of"
        " a host of pyconvex is in the file admin_key of its data folder, such as .pyconvex.",
    )


def project_of(folder: Path) -> dict[str, str]:
    """The variables in a folder's `.env.local`; none where there is no such file."""
    try:
        lines = (folder / ENV_LOCAL).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = (line.partition("=") for line in lines if not line.lstrip().startswith("#"))
    return {name.strip(): value.strip().strip("'\"") for name, equals, value in pairs if equals}


def same_address(one: str, other: str) -> bool:
    """Whether two addresses lead to the same place.

    >>> same_address("http://localhost:3210/", "http://127.0.0.1:3210")
    True
    >>> same_address("https://a.example", "http://a.example")
    False
    """
    try:
        return _place(one) == _place(other)
    except ValueError:  # a port that is none
        return False


def _place(url: str) -> tuple[str, str | None, int | None]:
    split = urlsplit(url)
    host = "localhost" if split.hostname in _HERE else split.hostname
    return split.scheme, host, split.port or _PORTS.get(split.scheme)
