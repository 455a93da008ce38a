"""The process of the Python visitor: one JSON command a line in, one JSON answer a line out."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

from convex import ConvexClient, ConvexError


def answer(client: ConvexClient, command: dict[str, Any]) -> dict[str, Any]:
    match command["command"]:
        case "authenticate":
            client.set_auth(command["token"])
            return {"authenticated": True}
        case "watch":
            return watch(client, command)
        case "await_answer":
            return await_answer(client, command)
    try:
        value = getattr(client, command["kind"])(command["path"], command["args"])
    except ConvexError as error:
        return {"error": str(error), "data": error.data}
    except Exception as error:
        return {"error": str(error)}
    return {"value": value}


def watch(client: ConvexClient, command: dict[str, Any]) -> dict[str, Any]:
    """Follow the shelf until the product has the price; the server says when it changes."""
    offers: Any = client.subscribe(command["path"], {})
    try:
        for shelf in offers:
            prices = {one["product"]["name"]: one["price"] for one in shelf}
            if prices.get(command["product"]) == command["price"]:
                return {"seen": command["price"]}
    finally:
        offers.unsubscribe()
    return {"error": "the subscription ended"}


def await_answer(client: ConvexClient, command: dict[str, Any]) -> dict[str, Any]:
    """Follow the conversation until an answer has grown to its end."""
    conversation: Any = client.subscribe(command["path"], {})
    try:
        for messages in conversation:
            for message in messages:
                if message["_id"] == command["message"] and message["state"] != "writing":
                    return {"said": message["text"]}
    finally:
        conversation.unsubscribe()
    return {"error": "the subscription ended"}


def main() -> None:
    logging.disable()
    # The client prints log lines of functions on standard output, which is for answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    client = ConvexClient(sys.argv[1])
    # In Convex every number is a float; an int would be a BigInt.
    for line in sys.stdin:
        print(
            json.dumps(answer(client, json.loads(line, parse_int=float))), file=answers, flush=True
        )


if __name__ == "__main__":
    main()
