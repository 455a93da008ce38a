"""Log streams that are only pretended, with one kind of every sort of field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyconvex.runtime.calls import HostError

TOKEN = "phc_0123456789abcdef_canary"
KINDS = [
    {
        "logStreamType": "webhook",
        "title": "Webhook",
        "summary": "Posts events.",
        "choosesTopics": True,
        "fields": [
            {"name": "url", "label": "URL", "kind": "url", "required": True,
             "placeholder": "https://…", "required_message": "URL is required",
             "invalid_message": "Must be a valid URL", "error_code": "InvalidWebhookUrl",
             "help": "", "choices": [], "default": None, "prefill_env": "", "prefill": None},
            {"name": "format", "label": "Format", "kind": "choice", "required": True,
             "choices": ["json", "jsonl"], "default": "jsonl"},
        ],
    },
    {
        "logStreamType": "hedgehog",
        "title": "Hedgehog & Co",
        "summary": "Tells hedgehogs.",
        "choosesTopics": False,
        "fields": [
            {"name": "apiKey", "label": "Token", "kind": "secret", "required": True,
             "required_message": "A token is required", "error_code": "InvalidToken",
             "prefill_env": "HEDGEHOG_TOKEN", "prefill": TOKEN},
            {"name": "host", "label": "Host", "kind": "url", "prefill_env": "HEDGEHOG_HOST",
             "prefill": "https://hedge.example", "invalid_message": "Must be a valid URL"},
            {"name": "rate", "label": "Rate", "kind": "number", "default": 1.0},
            {"name": "loud", "label": "Loud", "kind": "flag", "default": True},
        ],
    },
]  # fmt: skip


class PretendedStreams:
    """Keeps streams as the server does, and what was asked."""

    def __init__(self) -> None:
        self.streams: dict[str, dict[str, Any]] = {}
        self.bodies: list[dict[str, Any]] = []
        self.tested: list[str] = []
        self.refuse: HostError | None = None
        self.verdict: dict[str, Any] = {"ok": True, "reason": None}
        self.secrets = 0
        self.kinds = KINDS

    async def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        self._take(body)
        id = f"id-{len(self.streams) + 1}"
        made = {k: v for k, v in body.items() if k != "apiKey" and v is not None}
        self.streams[id] = {
            **made,
            "id": id,
            "topics": body.get("topics"),
            "status": {"type": "pending"},
        }
        if body["logStreamType"] == "webhook":
            self.streams[id]["hmacSecret"] = self._secret()
        return {"logStreamType": body["logStreamType"], "id": id}

    async def update(self, id: str, body: Mapping[str, Any]) -> None:
        self._take(body)
        self.streams[id] |= {k: v for k, v in body.items() if k != "apiKey"}

    async def delete(self, id: str) -> None:
        del self.streams[id]

    async def rotate_secret(self, id: str) -> dict[str, Any]:
        self.streams[id]["hmacSecret"] = self._secret()
        return {}

    async def test(self, id: str) -> dict[str, Any]:
        self.tested.append(id)
        return self.verdict

    def get(self, id: str) -> dict[str, Any]:
        if id not in self.streams:
            raise HostError(404, "LogStreamDoesntExist", "There is none.")
        return self.streams[id]

    def overview(self) -> dict[str, Any]:
        titles = {kind["logStreamType"]: kind["title"] for kind in self.kinds}
        printing = {
            "id": "terminal", "logStreamType": "terminal", "title": "Terminal",
            "status": {"type": "active"}, "delivery": {"state": "active"}, "format": "text",
        }  # fmt: skip
        return {
            "streams": [
                *[{"title": titles.get(stream["logStreamType"], "?"), "delivery": {}, **stream}
                  for stream in self.streams.values()],
                printing,
            ],
            "types": self.kinds,
            "topics": ["console", "function_execution", "custom_audit"],
        }  # fmt: skip

    def _take(self, body: Mapping[str, Any]) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.bodies.append(dict(body))

    def _secret(self) -> str:
        self.secrets += 1
        return f"secret-{self.secrets}"
