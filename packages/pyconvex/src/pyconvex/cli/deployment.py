"""A running deployment, as commands talk to it.

Owns where it is found and how it is asked: over HTTP with its admin key, like the official CLI.
Never opens the data folder. One invariant: every failure is a sentence that says what to do, and
none shows the key.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import httpx2
import msgspec

from pyconvex.cli import env_local

#: A deployment on this machine answers in milliseconds; a function may take longer.
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, repr=False)
class Deployment:
    """Address and admin key of a deployment."""

    url: str
    admin_key: str

    @classmethod
    def find(cls) -> Deployment:
        """From the environment, else from `.env.local` of this folder."""
        found = {**env_local.read(Path.cwd()), **os.environ}
        url, key = found.get(env_local.URL_VARIABLE), found.get(env_local.KEY_VARIABLE)
        if not url or not key:
            raise click.ClickException(
                f"No deployment is known here: {env_local.FILE_NAME} names none. Run `pyconvex "
                f"dev` in this folder, or set {env_local.URL_VARIABLE} and "
                f"{env_local.KEY_VARIABLE}."
            )
        return cls(url.rstrip("/"), key)

    def get(self, path: str) -> Any:
        """GET a JSON answer."""
        return self._request("GET", path, None)

    def post(self, path: str, body: Any) -> Any:
        """POST JSON and return the JSON answer, None when it is empty."""
        return self._request("POST", path, msgspec.json.encode(body))

    def _request(self, method: str, path: str, body: bytes | None) -> Any:
        headers = {
            "Authorization": f"Convex {self.admin_key}",
            "Content-Type": "application/json",
            "Convex-Client": "pyconvex-cli-0.1.0",
        }
        try:
            answer = httpx2.request(
                method, self.url + path, content=body, headers=headers, timeout=TIMEOUT_S
            )
        except httpx2.TransportError as error:
            raise click.ClickException(
                f"The deployment at {self.url} does not answer ({type(error).__name__}). "
                "Is `pyconvex dev` running?"
            ) from None
        if answer.status_code >= 400:
            raise click.ClickException(_message(answer.content, answer.status_code))
        return msgspec.json.decode(answer.content) if answer.content else None


def _message(content: bytes, status: int) -> str:
    try:
        return str(msgspec.json.decode(content)["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return f"The deployment answered with HTTP status {status}."
