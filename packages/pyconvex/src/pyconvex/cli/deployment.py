"""A running deployment, as commands talk to it.

Owns where it is found and how it is asked: over HTTP with its admin key, like the official CLI.
Never opens the data folder. One invariant: every failure is a sentence that says what to do, and
none shows the key.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click
import httpx2
import msgspec

import pyconvex
from pyconvex.cli import env_local

#: A deployment answers in milliseconds, also a busy one.
TIMEOUT_S = 60.0
#: An action may run for ten minutes, and wait for its turn before.
CALL_TIMEOUT_S = 900.0
#: Who acts when an identity doesn't say who issued it; the official CLI's word.
_TEST_ISSUER = "https://convex.test"

F = TypeVar("F", bound=Callable[..., Any])


class DeploymentError(click.ClickException):
    """The deployment answered that it can't, or not at all."""


@dataclass(frozen=True, slots=True, repr=False)
class Deployment:
    """Address and admin key of a deployment, and where each was found."""

    url: str
    admin_key: str
    origin: str = "the command line"

    @classmethod
    def find(cls, url: str | None = None, admin_key: str | None = None) -> Deployment:
        """From the command line, else from the environment, else from `.env.local` of this folder.

        A key is taken with its own address only: the one in `.env.local` goes nowhere else.
        """
        environment, file = os.environ, env_local.read(Path.cwd())
        url_name, key_name = env_local.URL_VARIABLE, env_local.KEY_VARIABLE
        address = url or environment.get(url_name) or file.get(url_name)
        if not address:
            raise click.ClickException(
                f"No deployment is known here: {env_local.FILE_NAME} names none. Run `pyconvex "
                f"dev` in this folder, or set {url_name} and {key_name}."
            )
        address = address.rstrip("/")
        key = admin_key or environment.get(key_name)
        if not key and file.get(url_name, "").rstrip("/") == address:
            key = file.get(key_name)
        if not key:
            raise click.ClickException(
                f"The admin key of {address} is not known: give --admin-key, or set {key_name}."
            )
        if url is not None:
            return cls(address, key)
        in_environment = bool(environment.get(url_name))
        return cls(address, key, "the environment" if in_environment else env_local.FILE_NAME)

    def acting_as(self, identity: str) -> Deployment:
        """The same, for calls in the name of a user whom a JSON object describes."""
        try:
            described = msgspec.json.decode(identity, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise click.UsageError(
                f'The identity is no JSON object, such as \'{{"subject": "ann"}}\': {error}'
            ) from None
        digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
        whole = {"issuer": _TEST_ISSUER, "subject": digest, **described}
        suffix = base64.b64encode(msgspec.json.encode(whole)).decode()
        return replace(self, admin_key=f"{self.admin_key}:{suffix}")

    def get(self, path: str, *, timeout_s: float = TIMEOUT_S) -> Any:
        """GET a JSON answer."""
        return self._request("GET", path, None, timeout_s)

    def post(self, path: str, body: Any, *, timeout_s: float = TIMEOUT_S) -> Any:
        """POST JSON and return the JSON answer, None when it is empty."""
        return self._request("POST", path, msgspec.json.encode(body), timeout_s)

    def call(self, path: str, arguments: Any, component: str = "") -> Any:
        """Call a function of any kind: the envelope of its outcome."""
        body = {"path": path, "args": arguments, "format": "json", "componentPath": component}
        return self.post("/api/function", body, timeout_s=CALL_TIMEOUT_S)

    def ask(self, path: str, arguments: Any | None = None, component: str = "") -> Any:
        """The result of a query of the host itself, such as `cli/tables`."""
        answer = self.call(f"_system/{path}", arguments or {}, component)
        if answer["status"] != "success":
            # The first line names the request, which helps nobody at a terminal.
            text = answer["errorMessage"].partition("\n")[2].strip()
            raise DeploymentError(text or answer["errorMessage"])
        return answer["value"]

    def wrong_key(self) -> str:
        """What to say when it does not take the key; the key's origin tells where to mend it."""
        return (
            f"The deployment at {self.url} does not take the admin key from {self.origin}. Another "
            "deployment may serve there: run `pyconvex dev` in this folder, or give --url and "
            "--admin-key."
        )

    def _request(self, method: str, path: str, body: bytes | None, timeout_s: float) -> Any:
        headers = {
            "Authorization": f"Convex {self.admin_key}",
            "Content-Type": "application/json",
            "Convex-Client": f"pyconvex-cli-{pyconvex.__version__}",
        }
        try:
            answer = httpx2.request(
                method, self.url + path, content=body, headers=headers, timeout=timeout_s
            )
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):
            raise click.UsageError(
                f"{self.url} is no address of a deployment, such as http://127.0.0.1:3210."
            ) from None
        except httpx2.ReadTimeout:
            raise DeploymentError(
                f"The deployment at {self.url} has not answered within {timeout_s:.0f} s. What was "
                "asked for may still happen."
            ) from None
        except httpx2.TransportError as error:
            raise DeploymentError(
                f"The deployment at {self.url} does not answer ({type(error).__name__}). "
                "Is `pyconvex dev` running?"
            ) from None
        if answer.status_code >= 400:
            if _refusal(answer.content, "code") == "BadAdminKey":
                raise DeploymentError(self.wrong_key())
            raise DeploymentError(
                _refusal(answer.content, "message")
                or f"What answers at {self.url} is no deployment: it answered with HTTP status "
                f"{answer.status_code}."
            )
        try:
            return msgspec.json.decode(answer.content) if answer.content else None
        except msgspec.DecodeError:
            raise DeploymentError(f"What answers at {self.url} is no deployment.") from None


def deployment_options(command: F) -> F:
    """Options that name a deployment, for commands that take `url` and `admin_key`."""
    command = click.option("--admin-key", help="Its admin key; better set in the environment.")(
        command
    )
    return click.option("--url", help="The deployment, when it is not the one of this folder.")(
        command
    )


def _refusal(content: bytes, field: str) -> str:
    try:
        return str(msgspec.json.decode(content)[field])
    except (msgspec.DecodeError, KeyError, TypeError):
        return ""
