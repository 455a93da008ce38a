"""The shop of the server benchmarks on FastAPI and hand-written sqlite3.

Owns the peer that a careful author writes for speed: `async def` endpoints that call SQLite
directly (a local read is cheaper than a hop to a thread), one connection a worker, prepared
statements, no response models. Never batches: one transaction a request. Invariant: a 200 for a
write means synced (FULL).
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from fastapi import FastAPI, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from benchmarks.shop import ACCOUNTS, account_row


class Deposit(BaseModel):
    amount: float
    note: str


def connect(folder: Path) -> sqlite3.Connection:
    db = sqlite3.connect(folder / "shop.db", isolation_level=None, timeout=30)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    return db


db = connect(Path(os.environ["BENCH_FOLDER"]))
app = FastAPI()


@app.get("/accounts/{account}")
async def read_account(account: int) -> JSONResponse:
    row = db.execute(
        "SELECT id, name, email, balance FROM accounts WHERE id = ?", (account,)
    ).fetchone()
    if row is None:
        raise HTTPException(404)
    return JSONResponse(dict(zip(("id", "name", "email", "balance"), row, strict=True)))


@app.post("/accounts/{account}/deposits")
async def deposit(account: int, body: Deposit) -> JSONResponse:
    db.execute("BEGIN IMMEDIATE")
    try:
        row = db.execute("SELECT balance FROM accounts WHERE id = ?", (account,)).fetchone()
        if row is None:
            raise HTTPException(404)
        balance = row[0] + body.amount
        db.execute("UPDATE accounts SET balance = ? WHERE id = ?", (balance, account))
        db.execute(
            "INSERT INTO entries (account, amount, note) VALUES (?, ?, ?)",
            (account, body.amount, body.note),
        )
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    return JSONResponse({"balance": balance})


@app.get("/ready")
async def ready() -> bool:
    return True


def fill(folder: Path) -> None:
    """Make the tables and every account."""
    made = connect(folder)
    made.executescript(
        """
        CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT, email TEXT, balance REAL);
        CREATE TABLE entries (id INTEGER PRIMARY KEY, account INTEGER, amount REAL, note TEXT);
        CREATE INDEX entries_by_account ON entries (account);
        """
    )
    made.execute("BEGIN")
    made.executemany(
        "INSERT INTO accounts VALUES (:id, :name, :email, :balance)",
        (account_row(number) for number in range(ACCOUNTS)),
    )
    made.execute("COMMIT")
    made.close()
