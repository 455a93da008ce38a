"""Requests as Convex's webhook makes them, for the tests of the receiver.

The events are those of Convex's documentation and schema, with values of our own.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

SECRET = "2f1d8a6c4b9e4e6f8a7d5c3b1a0f9e8d"
DEPLOYMENT = {
    "deployment_name": "happy-otter-123",
    "deployment_type": "prod",
    "deployment_ref": None,
    "project_name": "Shop",
    "project_slug": "shop",
    "deployment_region": "aws-us-east-1",
}
STACK = (
    "Uncaught TypeError: Cannot read properties of undefined (reading 'price')\n"
    "    at total (../convex/cart.ts:12:9)\n"
    "    at async handler (../convex/cart.ts:41:20)\n"
)


def function(**changes: Any) -> dict[str, Any]:
    made = {
        "path": "cart:checkout",
        "type": "mutation",
        "cached": None,
        "request_id": "7c2e6f4c9d0b1a35",
        "mutation_queue_length": 1,
        "mutation_retry_count": 0,
    }
    return made | changes


def console(timestamp: int, message: str = "'hello'", **changes: Any) -> dict[str, Any]:
    made = {
        "timestamp": timestamp,
        "topic": "console",
        "function": function(),
        "log_level": "INFO",
        "message": message,
        "is_truncated": False,
        "system_code": None,
        "convex": DEPLOYMENT,
    }
    return made | changes


def execution(timestamp: int, **changes: Any) -> dict[str, Any]:
    made = {
        "timestamp": timestamp,
        "topic": "function_execution",
        "function": function(),
        "execution_time_ms": 14,
        "user_execution_time_ms": 9,
        "status": "success",
        "error_message": None,
        "occ_info": None,
        "will_retry": False,
        "scheduler_info": None,
        "run_reason": "webSocket",
        "usage": {"database_read_bytes": 120, "action_memory_used_mb": None},
        "convex": DEPLOYMENT,
    }
    return made | changes


def failed(timestamp: int, error: str = STACK, **changes: Any) -> dict[str, Any]:
    return execution(timestamp, status="failure", error_message=error, **changes)


def as_json(*events: dict[str, Any]) -> bytes:
    return json.dumps(events).encode()


def as_jsonl(*events: dict[str, Any]) -> bytes:
    return "\n".join(json.dumps(event) for event in events).encode()


def signature(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
