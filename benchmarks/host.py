"""Our host as a subject of the server benchmarks.

Owns how it starts on the shop's functions, how it is filled, and its requests: those that an
official HTTP client sends. Never tunes it: `pyconvex start` with its defaults. Invariant: a request
means the same work as the FastAPI peers' request of that name.
"""

from __future__ import annotations

import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.load import request
from benchmarks.servers import ROOT, Place, Server
from benchmarks.shop import ACCOUNTS, DEPOSIT, account_row

#: Accounts that one filling mutation inserts.
FILL_BATCH = 500


def _command(place: Place) -> list[str]:
    return [
        *(str(Path(sys.executable).with_name("pyconvex")), "start"),
        *("--functions", str(ROOT / "benchmarks" / "shop_functions")),
        *("--data", str(place.folder / "data"), "--port", str(place.port), "--site-port", "0"),
    ]


HOST = Server(
    "pyconvex",
    _command,
    "/api/query?path=accounts:ready&args=%7B%7D&format=json",
    ready_text=b'"success"',
)


def reads(place: Place, accounts: int = ACCOUNTS) -> list[bytes]:
    """Fill the running host, and ask for each account by id."""
    return _requests(place, "/api/query", "accounts:read", lambda id_: {"account": id_}, accounts)


def deposits(place: Place, accounts: int = ACCOUNTS) -> list[bytes]:
    """Fill the running host, and deposit into each account."""
    return _requests(
        place,
        "/api/mutation",
        "accounts:deposit",
        lambda id_: {"account": id_, **DEPOSIT},
        accounts,
    )


def _requests(
    place: Place,
    route: str,
    path: str,
    arguments: Callable[[str], dict[str, Any]],
    accounts: int = ACCOUNTS,
) -> list[bytes]:
    return [
        request("POST", route, place.host, _body(path, arguments(id_)))
        for id_ in _filled(place, accounts)
    ]


def _filled(place: Place, accounts: int) -> list[str]:
    ids: list[str] = []
    for start in range(0, accounts, FILL_BATCH):
        end = min(start + FILL_BATCH, accounts)
        rows = [account_row(number) for number in range(start, end)]
        fields = [{k: v for k, v in row.items() if k != "id"} for row in rows]
        ids += _call(place, "accounts:fill", {"rows": fields})
    return ids


def _call(place: Place, path: str, arguments: dict[str, Any]) -> Any:
    asked = urllib.request.Request(
        f"http://{place.host}/api/mutation",
        _body(path, arguments),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:
        said = msgspec.json.decode(answer.read())
    if said["status"] != "success":
        raise SystemExit(f"{path} failed: {said['errorMessage']}")
    return said["value"]


def _body(path: str, arguments: dict[str, Any]) -> bytes:
    body = {"path": path, "args": [arguments], "format": "convex_encoded_json"}
    return msgspec.json.encode(body)
