"""The shop that the server benchmarks ask: its rows, and the peers that serve it.

Owns what every subject holds and how the FastAPI peers start. Never measures. Invariant: every
subject holds the same accounts and does the same reads and writes for one request.
"""

from __future__ import annotations

import subprocess
from typing import TypedDict

import msgspec

from benchmarks.load import request
from benchmarks.servers import ROOT, Place, Server, python

#: Rows that a point query chooses from, and that a deposit updates: many more than the 4,096
#: results that our host remembers, so that what is measured is a query that runs.
ACCOUNTS = 50_000
#: What a deposit's body says.
DEPOSIT = {"amount": 1.5, "note": "a deposit from the benchmark"}
#: uvicorn workers of each FastAPI peer: one for each core here.
PEER_WORKERS = 2


class AccountRow(TypedDict):
    id: int
    name: str
    email: str
    balance: float


def account_row(number: int) -> AccountRow:
    return {
        "id": number,
        "name": f"Account number {number}",
        "email": f"person-{number}@example.com",
        "balance": 100.0,
    }


def fastapi_peer(name: str, module: str) -> Server:
    """A peer with `module:app` and `module.fill(folder)`."""

    def prepare(place: Place) -> None:
        code = f"import {module} as m, pathlib; m.fill(pathlib.Path({str(place.folder)!r}))"
        subprocess.run(
            python("-c", code), cwd=ROOT, env={"BENCH_FOLDER": str(place.folder)}, check=True
        )

    def command(place: Place) -> list[str]:
        return python(
            *("-m", "uvicorn", f"{module}:app", "--host", "127.0.0.1", "--port", str(place.port)),
            *("--workers", str(PEER_WORKERS), "--no-access-log", "--log-level", "warning"),
        )

    return Server(name, command, "/ready", prepare=prepare)


SQLALCHEMY = fastapi_peer("FastAPI + SQLAlchemy", "benchmarks.peers.shop_sqlalchemy")
SQLITE3 = fastapi_peer("FastAPI + sqlite3", "benchmarks.peers.shop_sqlite3")


def peer_reads(place: Place) -> list[bytes]:
    return [request("GET", f"/accounts/{number}", place.host) for number in range(ACCOUNTS)]


def peer_deposits(place: Place) -> list[bytes]:
    body = msgspec.json.encode(DEPOSIT)
    return [
        request("POST", f"/accounts/{number}/deposits", place.host, body)
        for number in range(ACCOUNTS)
    ]
