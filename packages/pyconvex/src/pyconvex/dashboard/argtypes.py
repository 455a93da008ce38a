"""What a function takes, as people read it and as an example to begin with.

Owns both readings of Convex's validator JSON. Never checks a value: the function's own validators
do. One invariant: what is not understood is shown as `any`, and never fails a page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Described = Mapping[str, Any]

_WORDS = {"bigint": "int64"}
_EXAMPLES: dict[str, Any] = {"string": "", "number": 0, "boolean": False, "id": "", "array": []}


def fields(described: Described | None) -> dict[str, tuple[str, bool]]:
    """The arguments of a function: type by name, and whether it may be left out."""
    return {
        name: (written(one["fieldType"]), bool(one.get("optional")))
        for name, one in _object(described).items()
    }


def written(described: Described) -> str:
    """A type in one line.

    >>> written({"type": "array", "value": {"type": "id", "tableName": "users"}})
    'Id<users>[]'
    >>> written({"type": "union", "value": [{"type": "literal", "value": "a"}, {"type": "null"}]})
    '"a" | null'
    """
    match described.get("type"):
        case "id":
            return f"Id<{described.get('tableName')}>"
        case "literal":
            return json.dumps(described.get("value"), ensure_ascii=False)
        case "array":
            inner = written(described["value"])
            return f"({inner})[]" if " | " in inner else f"{inner}[]"
        case "union":
            return " | ".join(written(one) for one in described["value"]) or "never"
        case "record":
            values = described["values"]
            inner = written(values.get("fieldType", values))
            return f"{{[{written(described['keys'])}]: {inner}}}"
        case "object":
            inside = [
                f"{name}{'?' if optional else ''}: {type}"
                for name, (type, optional) in fields(described).items()
            ]
            return f"{{{', '.join(inside)}}}"
        case str(name):
            return _WORDS.get(name, name)
        case _:
            return "any"


def example(described: Described | None) -> str:
    """The arguments to begin with: what must be there, empty.

    >>> item = {"fieldType": {"type": "string"}, "optional": False}
    >>> example({"type": "object", "value": {"item": item}})
    '{\\n  "item": ""\\n}'
    >>> example(None)
    '{}'
    """
    required = {
        name: _example(one["fieldType"])
        for name, one in _object(described).items()
        if not one.get("optional")
    }
    return json.dumps(required, indent=2, ensure_ascii=False)


def _example(described: Described) -> Any:
    match described.get("type"):
        case "literal":
            return described.get("value")
        case "bigint":
            return {"$integer": "AAAAAAAAAAA="}
        case "union":
            return _example(described["value"][0]) if described["value"] else None
        case "object":
            return {
                name: _example(one["fieldType"])
                for name, one in _object(described).items()
                if not one.get("optional")
            }
        case "record":
            return {}
        case name:
            return _EXAMPLES.get(str(name))


def _object(described: Described | None) -> Mapping[str, Any]:
    found = (described or {}).get("value")
    return found if (described or {}).get("type") == "object" and isinstance(found, dict) else {}
