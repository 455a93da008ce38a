"""What a test of the shop is given, and where the shop is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from demo.host import Host
from demo.receiver import Receiver

SHOP = Path(__file__).resolve().parents[2] / "examples" / "hedgehog-shop"
#: Any free ports: several modules, and somebody's own demo, may run at once.
FREE_PORTS = ["--posthog-port", "0", "--host-port", "0", "--shop-port", "0"]


@dataclass(frozen=True)
class Opened:
    """A shop that is open: PostHog Local, the host, and where the page is."""

    receiver: Receiver
    host: Host
    url: str
