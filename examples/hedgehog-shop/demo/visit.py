"""What a step of the scripted visit is given, and what it hands on to later steps.

Owns the facts of one visit. Never starts or stops anything. One invariant: what a step leaves on
the person's timeline is said by that step with `expects`, and is checked when all are done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from demo.failure import DemoError
from demo.host import Host
from demo.processes import PATIENCE_S
from demo.receiver import Receiver
from demo.timeline import Expected
from demo.visitors import Visitor
from posthog_local.testing import EventNotSeen, PostHogLocal

if TYPE_CHECKING:
    from playwright.sync_api import Page


@dataclass
class Visit:
    """One visit to the shop, from the first page to the timeline."""

    host: Host
    receiver: Receiver
    visitor: Visitor
    #: The visitor's distinct id: an anonymous one, after signing up the id in the shop.
    person: str = ""
    #: What should be on the timeline by now.
    expected: list[Expected] = field(default_factory=list)
    #: The number of the step that is going on; 1 is the first.
    step: int = 0

    @property
    def local(self) -> PostHogLocal:
        """PostHog Local, to ask what arrived and to set flags."""
        if self.receiver.local is None:
            raise DemoError("This step needs PostHog Local.")
        return self.receiver.local

    @property
    def host_url(self) -> str:
        """Where the host answers."""
        return self.host.url

    @property
    def admin_key(self) -> str:
        """The host's key, for what only operators may do."""
        return self.host.admin_key

    @property
    def page(self) -> Page | None:
        """The visitor's browser tab; None when a Python client makes the visit."""
        return self.visitor.page

    def arrived(self, event: str, properties: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The visitor's first event of this name and with these properties, once it is there."""
        try:
            return self.local.wait_for_event(
                event, distinct_id=self.person, properties=properties, timeout=PATIENCE_S
            )
        except EventNotSeen as error:
            raise DemoError(str(error)) from error

    def expects(self, *names: str) -> None:
        """This step leaves these on the timeline, each as often as it is named.

        Among themselves in any order, after those of earlier steps and before those of later ones.
        A name is an event's, or the kind of another entry: `log`, `replay`.
        """
        self.expected += [Expected(name, self.step) for name in names]

    def expects_of_page(self, *names: str) -> None:
        """The same, for what only a browser sends."""
        if self.page is not None:
            self.expects(*names)

    def expects_sometime(self, name: str) -> None:
        """At least one of these is on the timeline; when and how many more is not checked."""
        self.expected.append(Expected(name, step=0))
