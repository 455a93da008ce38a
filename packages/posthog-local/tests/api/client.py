"""Asks the API as a script does: JSON in, status and JSON out."""

from __future__ import annotations

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from posthog_local.testing import PostHogLocal


def ask(
    local: PostHogLocal, method: str, path: str, body: Any = None, *, key: str | None = None
) -> tuple[int, Any]:
    headers = {"authorization": f"Bearer {local.personal_api_key if key is None else key}"}
    data = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(local.url + path, data, headers, method=method)) as response:
            return response.status, _json(response.read())
    except HTTPError as error:
        with error:
            return error.code, _json(error.read())


def project(local: PostHogLocal, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    return ask(local, method, f"/api/projects/@current{path}", body)


def send(local: PostHogLocal, *events: dict[str, Any]) -> None:
    batch = [{"event": "e", "distinct_id": "u", **event} for event in events]
    body = json.dumps({"api_key": "phc_a", "batch": batch}).encode()
    urlopen(local.url + "/batch/", body).close()


def _json(text: bytes) -> Any:
    return json.loads(text) if text[:1] in (b"{", b"[") and b"\n" not in text else text.decode()
