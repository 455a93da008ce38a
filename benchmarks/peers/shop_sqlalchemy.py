"""The shop of the server benchmarks on FastAPI and SQLAlchemy's ORM, over SQLite.

Owns the peer that a Python team writes first: `def` endpoints, a session a request, Pydantic
models. Never tuned below what SQLAlchemy's documentation says for SQLite: WAL, a transaction that
begins IMMEDIATE where it writes, waiting on locks. Invariant: a 200 for a write means
synced (FULL).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine, ForeignKey, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from benchmarks.shop import ACCOUNTS, account_row


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    balance: Mapped[float]


class Entry(Base):
    __tablename__ = "entries"
    id: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    amount: Mapped[float]
    note: Mapped[str]


class AccountOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: int
    name: str
    email: str
    balance: float


class Deposit(BaseModel):
    amount: float
    note: str


def connect(folder: Path) -> Engine:
    engine = create_engine(f"sqlite:///{folder / 'shop.db'}", connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # SQLAlchemy begins, see below
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


engine = connect(Path(os.environ["BENCH_FOLDER"]))
app = FastAPI()


def session() -> Iterator[Session]:
    with Session(engine) as opened:
        yield opened


def writing_session() -> Iterator[Session]:
    with Session(engine.execution_options(writes=True)) as opened:
        yield opened


@app.get("/accounts/{account}")
def read_account(account: int, db: Annotated[Session, Depends(session)]) -> AccountOut:
    found = db.get(Account, account)
    if found is None:
        raise HTTPException(404)
    return AccountOut.model_validate(found)


@app.post("/accounts/{account}/deposits")
def deposit(
    account: int, body: Deposit, db: Annotated[Session, Depends(writing_session)]
) -> dict[str, float]:
    found = db.get(Account, account)
    if found is None:
        raise HTTPException(404)
    found.balance += body.amount
    db.add(Entry(account=account, amount=body.amount, note=body.note))
    balance = found.balance
    db.commit()
    return {"balance": balance}


@app.get("/ready")
def ready() -> bool:
    return True


def fill(folder: Path) -> None:
    """Make the tables and every account."""
    made = connect(folder)
    Base.metadata.create_all(made)
    with Session(made.execution_options(writes=True)) as db:
        db.add_all(Account(**account_row(number)) for number in range(ACCOUNTS))
        db.commit()
    made.dispose()
