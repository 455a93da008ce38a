"""Function handles: text that stands for one function, wherever it is handed.

Owns their form and the way from one to its function. Never stores any: a handle follows from the
deployment's secret and the function's place, so it stays the same across deploys, stops to work
with the function, and works again when the function is back. One invariant: nobody can make one
without the secret, so who holds one was given it.
"""

from __future__ import annotations

import base64
import hmac
from typing import Any

from pyconvex.functions import FunctionCallError
from pyconvex.functions.references import HANDLE_PREFIX, FunctionHandle
from pyconvex.runtime.app.calling import Callee
from pyconvex.runtime.app.image import AppImage


class HandleNotFound(FunctionCallError):
    """A handle whose function is not there, or no handle at all."""


def handle_of(secret: bytes, callee: Callee) -> FunctionHandle:
    """The handle of a function: `function://<id>#<component>:<module>:<name>`."""
    component = callee.component.path
    place = f"{component}:{callee.path}" if component else callee.path
    return FunctionHandle(f"{HANDLE_PREFIX}{_id_of(secret, place)}#{place}")


def opened(image: AppImage, secret: bytes, target: Any) -> Any:
    """The function behind a handle; any other target as it is. Raises `HandleNotFound`."""
    if not isinstance(target, str):
        return target
    id, _, place = target.removeprefix(HANDLE_PREFIX).partition("#")
    component, _, path = place.rpartition(":")[0].rpartition(":")
    path = place.removeprefix(f"{component}:") if component else place
    owner = image.components.get(component)
    function = owner.functions.get(path) if owner is not None else None
    genuine = hmac.compare_digest(id.encode(), _id_of(secret, place).encode())
    if owner is None or function is None or not genuine:
        raise HandleNotFound(
            "Function handle not found: its function was removed, or this is no handle of this "
            "deployment. ctx.create_function_handle makes them."
        )
    return Callee(owner, function)


def _id_of(secret: bytes, place: str) -> str:
    digest = hmac.digest(secret, b"function handle\0" + place.encode(), "sha256")
    return base64.b32encode(digest[:20]).decode("ascii").lower()
