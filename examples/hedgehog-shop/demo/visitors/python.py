"""A visitor without a browser: the official Python client, in a process of its own.

Owns what it calls. Never opens a page, so nothing of a browser is on its timeline. The client lets
no other thread of its process run while it waits, hence the process (`python_client`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demo.failure import DemoError
from demo.host import SHOP
from demo.processes import JsonLines, running


@contextmanager
def calling(host_url: str, folder: Path) -> Iterator[PythonVisitor]:
    """A visitor with a client of their own, for as long as the block lasts."""
    command = [sys.executable, str(SHOP / "demo" / "visitors" / "python_client.py"), host_url]
    with running("The Python client", command, folder) as process:
        yield PythonVisitor(process)


class PythonVisitor:
    """Uses the shop's functions; see `Visitor`."""

    page = None
    client = "the official Python client"

    def __init__(self, process: JsonLines) -> None:
        self._process = process
        self._products: dict[str, str] = {}

    def look_around(self, product: str) -> str:
        offers = self._call("query", "products:offers")
        self._products = {one["product"]["name"]: one["product"]["_id"] for one in offers}
        self._call("query", "products:offer", product_id=self._products[product])
        return ""

    def sign_up(self, name: str, email: str, password: str) -> str:
        form = {"flow": "signUp", "name": name, "email": email, "password": password}
        signed = self._call("action", "auth:signIn", provider="password", params=form)
        self._ask("authenticate", token=signed["tokens"]["token"])
        self._call("mutation", "users:welcome")
        return str(self._call("query", "users:currentUser")["_id"])

    def choose_plan(self, plan: str) -> None:
        names = {"Hedge club": "club", "Free": "free"}
        self._call("mutation", "users:choose_plan", plan=names[plan])

    def put_into_cart(self, product: str) -> None:
        self._call("mutation", "cart:put", product_id=self._products[product], quantity=1)

    def pay(self, card: str) -> None:
        self._call("action", "orders:checkout", card=card)

    def fail_to_pay(self, card: str) -> str:
        answer = self._ask("call", kind="action", path="orders:checkout", args={"card": card})
        if not isinstance(answer.get("data"), dict):
            raise DemoError(f"The payment should have been declined, but it gave {answer}.")
        return str(answer["data"]["message"])

    def ask_support(self, question: str) -> str:
        answer_id = self._call("mutation", "chat:ask", text=question)
        answer = self._ask("await_answer", path="chat:mine", message=answer_id)
        if "said" not in answer:
            raise DemoError(f"The support did not answer: {answer.get('error')}")
        return str(answer["said"]).strip()

    def sees_price(self, product: str, price: int) -> None:
        self._ask("watch", path="products:offers", product=product, price=price)

    def edit_flag(self, local_url: str, key: str) -> bool:
        return False

    def _call(self, kind: str, path: str, **args: Any) -> Any:
        answer = self._ask("call", kind=kind, path=path, args=args)
        if "error" in answer:
            raise DemoError(f"{path} failed: {answer['error']}")
        return answer["value"]

    def _ask(self, command: str, **fields: Any) -> dict[str, Any]:
        self._process.send(command=command, **fields)
        return self._process.expect(f"the answer to {command} {fields.get('path', '')}", bool)
