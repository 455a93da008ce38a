"""Functions of a Convex deployment, called over HTTP with its admin key.

Owns the request and the words for its failures. Never follows what it is told to a second address,
and never lets the key into a message. One invariant: there is a value, or a sentence that says what
to do.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import msgspec

#: Sends a body to an address with headers; returns the answer's body. Raises `OSError`.
Post: TypeAlias = Callable[[str, bytes, dict[str, str]], bytes]


class CallFailed(Exception):
    """Why there is no value, and what to do; a part of a sentence."""


class Deployment:
    """A deployment, and the key that may call all of its functions.

    Raises `ValueError` for an address that is none.
    """

    def __init__(self, url: str, admin_key: str, post: Post) -> None:
        if urlsplit(url.strip()).scheme not in ("http", "https"):
            raise ValueError(f"{url!r} is no address of a deployment: it begins with https://")
        self.url = url.strip().rstrip("/")
        self._admin_key = admin_key.strip()
        self._post = post

    def call(self, component: str, path: str, args: Mapping[str, Any] | None = None) -> Any:
        """The value of a component's function, of whatever kind. Raises `CallFailed`."""
        body = {"path": path, "args": args or {}, "format": "json", "componentPath": component}
        headers = {
            "Authorization": f"Convex {self._admin_key}",
            "Content-Type": "application/json",
        }
        try:
            text = self._post(f"{self.url}/api/function", json.dumps(body).encode(), headers)
        except (OSError, HTTPException) as error:
            raise CallFailed(_unreachable(error)) from None
        try:
            answer = msgspec.json.decode(text, type=_Answer)
        except msgspec.MsgspecError:
            raise CallFailed(
                "something else than a Convex deployment answered; check url"
            ) from None
        if answer.status != "success":
            reason = answer.error_message or "no value"
            raise CallFailed(
                f"component {component!r} gave no answer ({reason}); check that it is mounted "
                "under that name"
            )
        return answer.value


class _Answer(msgspec.Struct, rename="camel"):
    status: str
    value: Any = None
    error_message: str | None = None


def _unreachable(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        advice = "check the admin key" if error.code in (401, 403) else "check url"
        return f"the deployment answered with status {error.code}; {advice}"
    return f"the deployment could not be reached ({error})"


def post_within(timeout_s: float) -> Post:
    """Posts with the standard library, so that nothing else need be imported."""

    def post(url: str, body: bytes, headers: dict[str, str]) -> bytes:
        request = urllib.request.Request(url, body, headers)  # noqa: S310 - the scheme is checked
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310 - checked
            content: bytes = answer.read()
            return content

    return post
