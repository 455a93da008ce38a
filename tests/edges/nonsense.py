"""Requests and messages as no client sends them, of the words that the edges look for.

Owns the random choice. Never sends anything. One invariant: what is made follows from the seed
alone.
"""

from __future__ import annotations

import json
import random
from typing import Any, NamedTuple

_ATOMS: list[Any] = [
    *(None, True, False, 0, -1, 1.5, -0.0, 10**20, 2**63, 10**400, 1e308, "", "a", "null", "\0"),
    *("é" * 300, "\ud800", "\U0010ffff", [], {}, [[]], [{}], [{}, {}]),
    *(
        {"$integer": "AAAAAAAAAAA="},
        {"$integer": 1},
        {"$integer": "AA"},
        {"$float": "AAAAAAAA8H8="},
    ),
    *({"$bytes": "AQ=="}, {"$bytes": "%"}, {"$commitTs": None}, {"$other": 1}, {"_id": "x"}),
    *({"a": {"b": [1, {"$integer": "AQAAAAAAAAA="}]}}, "j57000820c20a1g7104gm2rc1m70ynr8"),
]
_WORDS = [
    *("path", "args", "format", "componentPath", "queries", "ts", "changes", "name", "value"),
    *("type", "sessionId", "connectionCount", "lastCloseReason", "maxObservedTimestamp"),
    *("baseVersion", "newVersion", "modifications", "queryId", "udfPath", "journal", "requestId"),
    *("tokenType", "impersonating", "eventType", "event", "clientTs"),
    *(
        "key",
        "n",
        "s",
        "b",
        "of",
        "id",
        "data",
        "paginationOpts",
        "numItems",
        "cursor",
        "endCursor",
    ),
    *("constructor", "__proto__", "", "$", "_", "é"),
]
PATHS = [
    *("things:echo", "things:typed", "things:who", "things:listed", "things:found", "things:put"),
    *("things:refuse", "things:relay", "things:hidden_query", "things:hidden_mutation"),
    *("things:hidden_action", "things.js:echo", "things/echo", "things", "no:where", "a/b/c:d"),
    *(
        "",
        ":",
        "::",
        "../x:y",
        "things:",
        ":echo",
        "x" * 5000,
        "_system/cli/tables",
        "é:è",
        "a:b:c",
    ),
]
_FORMATS = ["json", "convex_encoded_json", "export_json", "xml", "", None, 1]
_TYPES = [
    "application/json",
    "application/json; charset=utf-8",
    "text/plain",
    "",
    "APPLICATION/JSON",
]
_CREDENTIALS = [
    *("Convex wrong", "Convex ", "Convex", "Bearer", "Bearer x", "Bearer a.b.c", "Basic eDp5", "é"),
    *("Bearer eyJhbGciOiJub25lIn0.e30.", "Convex x|y:e30", "Convex name|key:!!!"),
]
_ROUTES = [
    *("/api/query", "/api/mutation", "/api/action", "/api/function", "/api/query_batch"),
    *("/api/query_ts", "/api/query_at_ts", "/api/run/things/echo", "/api/run/x", "/api/run/a/b/c"),
    *("/api/run/", "/api/check_admin_key", "/api/list_environment_variables"),
    *("/api/v1/list_environment_variables", "/api/update_environment_variables"),
    *("/api/v1/update_environment_variables", "/version", "/instance_version", "/instance_name"),
    *("/echo", "/", "/api/", "/api/nothing", "/nothing", "/api/deploy2/start_push", "/api/sync"),
    *("//api//query", "/api/query/", "/API/QUERY", "/api/%71uery", "/api/query?path=a&args={}"),
    *("/api/query?path=things:echo&args=%7B%7D", "/api/query?args", "/api/query?path=%ff&args=%00"),
]
_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]


class Ask(NamedTuple):
    """One HTTP request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Nonsense:
    """Random requests and messages from one seed; `admin_key` is given to some of them."""

    def __init__(self, seed: int, admin_key: str) -> None:
        self._random = random.Random(seed)
        self._admin_key = admin_key

    def ask(self) -> Ask:
        """An HTTP request."""
        choose = self._random.choice
        method = "POST" if self._random.random() < 0.7 else choose(_METHODS)
        headers = {"content-type": "application/json"}
        if self._random.random() < 0.15:
            headers["content-type"] = choose(_TYPES)
        credential = self._credential()
        if credential is not None:
            headers["authorization"] = credential
        if self._random.random() < 0.2:
            headers["origin"] = "https://shop.example"
            headers["convex-request-id"] = choose(["x", "é", "-", "x" * 65])
        body = b"" if method in ("GET", "HEAD") else self._damaged(self._body())
        return Ask(method, choose(_ROUTES), headers, body)

    def conversation(self) -> list[str | bytes]:
        """What a client says on one socket."""
        said: list[str | bytes] = []
        if self._random.random() < 0.9:
            session = "6d0f2fe5-1f1d-4d9e-9b0a-2a6f7f0c9a11"
            said.append(json.dumps({"type": "Connect", "sessionId": session, "connectionCount": 0}))
        version = 0
        for _ in range(self._random.randint(1, 6)):
            message = self._message(version)
            if message.get("type") == "ModifyQuerySet":
                version += 1
            text = json.dumps(message)
            if self._random.random() < 0.15:
                said.append(self._damaged(text.encode()))
            else:
                said.append(text)
        return said

    def _credential(self) -> str | None:
        luck = self._random.random()
        if luck < 0.5:
            return None
        if luck < 0.65:
            return f"Convex {self._admin_key}"
        return self._random.choice(_CREDENTIALS)

    def _body(self) -> bytes:
        if self._random.random() < 0.2:
            return json.dumps(self._value(0)).encode()
        if self._random.random() < 0.15:
            changes = [{"name": self._value(3), "value": self._value(3)} for _ in range(2)]
            return json.dumps({"changes": changes}).encode()
        body = self._call()
        if self._random.random() < 0.1:
            body = {"queries": [self._call() for _ in range(self._random.randint(0, 4))]}
        return json.dumps(body).encode()

    def _call(self) -> dict[str, Any]:
        call: dict[str, Any] = {"path": self._random.choice(PATHS), "args": self._arguments()}
        if self._random.random() < 0.3:
            call["format"] = self._random.choice(_FORMATS)
        if self._random.random() < 0.1:
            call["componentPath"] = self._value(3)
        if self._random.random() < 0.1:
            call.pop(self._random.choice(list(call)))
        return call

    def _arguments(self) -> Any:
        luck = self._random.random()
        if luck < 0.1:
            return self._value(0)
        options = {"numItems": self._value(3), "cursor": self._value(3)}
        known = {
            "value": self._value(1),
            "key": self._random.choice(["a", "b", 1]),
            "n": 1.0,
            "s": "",
            "b": {"$bytes": ""},
            "data": self._value(1),
            "paginationOpts": options,
            "id": self._random.choice(_ATOMS),
        }
        chosen = {name: known[name] for name in known if self._random.random() < 0.25}
        return [chosen] if luck < 0.4 else chosen

    def _message(self, version: int) -> dict[str, Any]:
        choose, luck = self._random.choice, self._random.random()
        if luck < 0.15:
            fields = {choose(_WORDS): self._value(1) for _ in range(3)}
            return fields | {"type": choose(["Event", "X"])}
        number = choose([0, 1, 2, 2**32 - 1, 2**32, -1, 1.5, "1", None])
        call = {"udfPath": choose(PATHS), "args": self._arguments()}
        if luck < 0.5:
            base = version if self._random.random() < 0.9 else number
            changes = [self._modification(call) for _ in range(self._random.randint(0, 3))]
            new = base + 1 if isinstance(base, int) else base
            return {
                "type": "ModifyQuerySet",
                "baseVersion": base,
                "newVersion": new,
                "modifications": changes,
            }
        if luck < 0.8:
            return {"type": choose(["Mutation", "Action"]), "requestId": number, **call}
        return {
            "type": "Authenticate",
            "baseVersion": choose([0, 1, number]),
            "tokenType": choose(["User", "Admin", "None", "Other", None]),
            "value": choose([self._admin_key, "x", "a.b.c", None, 1]),
            **({"impersonating": self._value(1)} if self._random.random() < 0.3 else {}),
        }

    def _modification(self, call: dict[str, Any]) -> dict[str, Any]:
        query_id = self._random.choice([0, 1, 2, 3, 2**32, "0"])
        if self._random.random() < 0.25:
            return {"type": "Remove", "queryId": query_id}
        journal = {"journal": self._value(3)} if self._random.random() < 0.2 else {}
        return {"type": "Add", "queryId": query_id, **call, **journal}

    def _value(self, depth: int) -> Any:
        luck = self._random.random()
        if depth > 3 or luck < 0.6:
            return self._random.choice(_ATOMS)
        size = self._random.randint(0, 4)
        if luck < 0.75:
            return [self._value(depth + 1) for _ in range(size)]
        return {self._random.choice(_WORDS): self._value(depth + 1) for _ in range(size)}

    def _damaged(self, body: bytes) -> bytes:
        luck = self._random.random()
        if luck < 0.85 or not body:
            return body
        place = self._random.randrange(len(body))
        if luck < 0.9:
            return body[:place]
        if luck < 0.95:
            return body[:place] + self._random.randbytes(3) + body[place:]
        deep = [b"[" * 5000, b'{"a":' * 3000]
        whole = [self._random.randbytes(40), body * 20, b"\xef\xbb\xbf" + body]
        return self._random.choice([*deep, *whole])
