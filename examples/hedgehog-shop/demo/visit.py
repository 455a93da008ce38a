"""What a step of the scripted visit is given, and what it hands on to later steps.

Owns the facts of one visit. Never starts or stops anything. One invariant: what a step expects on
the person's timeline is said by that step, and is checked when all steps are done.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.failure import DemoError
from demo.processes import JsonLines
from demo.timeline import Expected
from posthog_local.testing import PostHogLocal


@dataclass
class Visit:
    """One visit to the shop, from the first page to the timeline."""

    #: PostHog Local: its address, keys, and questions to ask it.
    local: PostHogLocal
    #: Where the host answers.
    host_url: str
    #: The host's key, for what only operators may do.
    admin_key: str
    #: A folder of this visit, in which `pyconvex` finds the deployment.
    folder: Path
    #: The visitor's client.
    visitor: JsonLines
    #: The visitor's id in the shop, which is the distinct id; empty before signing up.
    person: str = ""
    #: What should be on the timeline when the visit is over.
    expected: list[Expected] = field(default_factory=list)

    def expects(self, *names: str) -> None:
        """This step leaves these on the timeline, each once, after those of earlier steps.

        A name is an event's, or the kind of another entry: `log`, `replay`.
        """
        step = 1 + max((one.step for one in self.expected), default=0)
        self.expected += [Expected(name, step) for name in names]

    def expects_sometime(self, name: str) -> None:
        """This is on the timeline at least once; when it happened is not checked."""
        self.expected.append(Expected(name, step=0))

    def call(self, path: str, **args: Any) -> Any:
        """Run a mutation through the visitor's client and return its value."""
        self.visitor.send(op="mutation", id=path, path=path, args=args)
        line = self.visitor.expect(f"the result of {path}", lambda line: line.get("id") == path)
        if line["event"] == "refused":
            raise DemoError(f"{path} failed: {line['error']}")
        return line["value"]

    def sees_price(self, amount: int) -> None:
        """Wait until the visitor's open tab shows this price."""
        self.visitor.expect(
            f"the price {amount}",
            lambda line: line.get("path") == "shop:price" and line.get("value") == amount,
        )
