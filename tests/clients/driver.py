"""Drives the official Python clients for a test: what `driver.mjs` is for the npm ones.

One JSON command a line in, one JSON answer a line out; values travel in Convex's own JSON. Commands
run one after another: while this client waits for a result, it lets no other thread of Python run.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from functools import cached_property
from typing import Any

from convex import ConvexClient, ConvexError, convex_to_json, json_to_convex
from convex.http_client import ConvexHttpClient


def described(error: Exception) -> dict[str, Any]:
    if isinstance(error, ConvexError):
        data = convex_to_json(error.data)
        return {"name": "ConvexError", "message": str(error), "data": data}
    return {"name": type(error).__name__, "message": str(error)}


class Clients:
    """The clients of one deployment; each method is a command."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = ConvexHttpClient(url)
        self.subscriptions: dict[str, Any] = {}

    @cached_property
    def live(self) -> ConvexClient:
        return ConvexClient(self.url)

    def close(self) -> None:
        for name in list(self.subscriptions):
            self.unsubscribe(name)

    def httpQuery(self, path: str, args: Any) -> Any:
        return self.http.query(path, args)

    def httpMutation(self, path: str, args: Any) -> Any:
        return self.http.mutation(path, args)

    def httpAction(self, path: str, args: Any) -> Any:
        return self.http.action(path, args)

    def httpSetAdminAuth(self, key: str) -> None:
        self.http.set_admin_auth(key)

    def httpSetAuth(self, token: str) -> None:
        self.http.set_auth(token)

    def setAuth(self, token: str) -> None:
        self.live.set_auth(token)

    def setAdminAuth(self, key: str) -> None:
        self.live.set_admin_auth(key)

    def query(self, path: str, args: Any) -> Any:
        return self.live.query(path, args)

    def mutation(self, path: str, args: Any) -> Any:
        return self.live.mutation(path, args)

    def action(self, path: str, args: Any) -> Any:
        return self.live.action(path, args)

    def subscribe(self, name: str, path: str, args: Any) -> None:
        self.subscriptions[name] = self.live.subscribe(path, args)

    def next(self, name: str) -> Any:
        """The next result of a subscription; nothing else can happen while it is waited for."""
        return next(self.subscriptions[name])

    def unsubscribe(self, name: str) -> None:
        self.subscriptions.pop(name).unsubscribe()


def run(clients: Clients, command: str, fields: dict[str, Any]) -> dict[str, Any]:
    function: Callable[..., Any] = getattr(clients, command)
    try:
        if "args" in fields:
            fields["args"] = json_to_convex(fields["args"])
        return {"value": convex_to_json(function(**fields))}
    except Exception as error:
        return {"error": described(error)}


def main() -> None:
    logging.disable()
    # The client prints log lines of functions on standard output, which is for answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    clients = Clients("")
    for line in sys.stdin:
        fields = json.loads(line, parse_int=float)  # in Convex's JSON every number is one
        id, command = fields.pop("id"), fields.pop("command")
        if command == "open":
            clients.close()
            clients = Clients(**fields)
            answer: dict[str, Any] = {"value": None}
        else:
            answer = run(clients, command, fields)
        print(json.dumps({"id": id, **answer}), file=answers, flush=True)


if __name__ == "__main__":
    main()
