"""The deployment's admin key on disk.

Owns the key file: made at first start, readable by its owner only. Never prints the key. One
invariant: a data folder has one key for as long as it lives.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from pyconvex.auth.admin_key import SECRET_BYTES, AdminKey

_FILE = "admin_key"


def key_file(data: Path) -> Path:
    """Where the key of the deployment in `data` is kept."""
    return data / _FILE


def admin_key(data: Path, name: str) -> AdminKey:
    """The key of the deployment in `data`; makes one when there is none."""
    path = key_file(data)
    if path.exists():
        return AdminKey(path.read_text().strip())
    key = AdminKey.generate(name, secrets.token_bytes(SECRET_BYTES))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key.text + "\n")
    return key
