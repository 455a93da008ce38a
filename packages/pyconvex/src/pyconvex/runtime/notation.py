"""How clients write a call, and how they read what came of it.

Owns Convex's forms of paths, arguments, timestamps and error texts. Never looks whether a function
is there. One invariant: a path has one canonical form, so that equal calls are equal.
"""

from __future__ import annotations

import base64
import re
from functools import lru_cache

import msgspec

from pyconvex.runtime.calls import Failure

_EXPORT = re.compile(r"(?!_+\Z)[A-Za-z_][A-Za-z0-9_]{0,63}\Z")
_MODULE = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_./-]*\Z")


class ArgumentsError(ValueError):
    """Arguments that are not one object; the message says so."""


def one_object(args: bytes) -> bytes:
    """The arguments object of a call, which clients send bare or as the only element of an array.

    >>> one_object(b'[{"a": 1}]'), one_object(b'{"a": 1}')
    (b'{"a": 1}', b'{"a": 1}')
    """
    if args.startswith(b"{"):
        return args
    if not args.startswith(b"["):
        raise ArgumentsError("The arguments of a Convex function must be an object.")
    elements = msgspec.json.decode(args, type=list[msgspec.Raw])
    only = bytes(elements[0]) if len(elements) == 1 else b""
    if elements and not only.startswith(b"{"):
        raise ArgumentsError("The arguments of a Convex function must be one object in an array.")
    return only or b"{}"


class PathError(ValueError):
    """A function path that names nothing; the message says what is wrong with it."""


# Clients repeat few paths at high rates; failures are not kept.
@lru_cache(maxsize=4096)
def canonical_path(path: str) -> str:
    """The one form of a function path: module without `.js`, and the export always written out.

    Raises `PathError` when no function can have this path.

    >>> canonical_path("messages.js:list"), canonical_path("foo/bar")
    ('messages:list', 'foo/bar:default')
    """
    module, colon, export = path.rpartition(":")
    if not colon:
        module, export = path, "default"
    module = module.removesuffix(".js")
    if not _MODULE.match(module) or any(part in ("", ".", "..") for part in module.split("/")):
        raise PathError(
            f"'{path}' is not a path to a function: the module '{module}' is not valid."
        )
    if "." in module:
        raise PathError(
            f"'{path}' is not a path to a function: a module's extension can only be .js."
        )
    if not _EXPORT.match(export):
        raise PathError(f"'{path}' is not a path to a function: '{export}' is not an identifier.")
    return f"{module}:{export}"


def encode_ts(ts: int) -> str:
    """A timestamp as clients get it: base64 of 64 bits, little endian.

    >>> encode_ts(0), encode_ts(1)
    ('AAAAAAAAAAA=', 'AQAAAAAAAAA=')
    """
    return base64.b64encode(ts.to_bytes(8, "little")).decode("ascii")


def error_text(failure: Failure, request_id: str, *, redact: bool) -> str:
    """What a client reads of a failure; with `redact` only that there was one.

    >>> error_text(Failure("Uncaught ValueError: no"), "9f1c22aa03b4de51", redact=False)
    '[Request ID: 9f1c22aa03b4de51] Server Error\\nUncaught ValueError: no\\n'
    """
    head = f"[Request ID: {request_id}] Server Error"
    if redact:
        return head
    return f"{head}\n{failure.message.rstrip()}\n"
