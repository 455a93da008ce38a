"""What the demo prints once everything runs: where to click, and what to watch.

Owns the words. Never starts anything. One invariant: no key is printed but in a link that works
once.
"""

from __future__ import annotations

import json
import shlex

from rich.text import Text

from demo.host import SHOP, Host
from demo.processes import tool
from demo.receiver import FLAG, USUAL_REFRESH_S, Receiver


def guide(
    host: Host, receiver: Receiver, shop_url: str | None, seconds: float, person: str
) -> Text:
    """The links and a short tour; `person` is who has visited already, empty for nobody."""
    links = [
        *([] if shop_url is None else [("The shop", shop_url)]),
        ("PostHog Local" if receiver.local is not None else "PostHog", receiver.host),
        ("The host's dashboard, for one sign-in", host.sign_in_link()),
    ]
    text = Text()
    text.append(f"\nReady after {seconds:.0f} s.\n", style="bold")
    for name, url in links:
        text.append(f"\n  {name}\n    {url}\n")
    text.append("\n" + "\n".join(_tour(host, receiver, shop_url, person)) + "\n")
    return text


def _tour(host: Host, receiver: Receiver, shop_url: str | None, person: str) -> list[str]:
    if shop_url is None:
        offers = [tool("pyconvex")[0], "run", "products:offers", "--watch"]
        if person:
            offers += ["--identity", json.dumps({"subject": person})]
        return [
            "In another terminal, the prices as that visitor sees them:",
            f"  cd {host.folder}",
            f"  {shlex.join(offers)}",
            *_flag_tour("  ", receiver, "the prices change"),
            "Ctrl-C stops everything.",
        ]
    return [
        "What to click:",
        "  1. In the shop: look at a product, then sign up. Any address does, nothing is mailed.",
        "  2. Click your name, upgrade; put something into the cart, pay with a card that works,",
        "     then with one that is declined.",
        *(["  3. Below the shop: “Your timeline”. All of it is there, before and after signing up."]
          if receiver.local is not None else ["  3. In PostHog: Activity, and the person."]),
        *_flag_tour("  4. ", receiver, "the open shop changes its prices"),
        f"  The functions are in {SHOP / 'convex'}: save one, and it is deployed.",
        "Ctrl-C stops everything.",
    ]  # fmt: skip


def _flag_tour(begin: str, receiver: Receiver, effect: str) -> list[str]:
    if receiver.flags_key is None:
        return [f"{begin}No key reads flags (--flags-key), so the discount stays at none."]
    every = f"The host asks for changed flags every {receiver.refresh_s} s"
    every += (
        "." if receiver.refresh_s == USUAL_REFRESH_S else f" here; {USUAL_REFRESH_S} s is usual."
    )
    if receiver.local is None:
        return [f"{begin}Edit the flag {FLAG}: {effect}. {every}"]
    return [
        f"{begin}Switch the flag on or off at {receiver.host}/feature_flags/{FLAG}: {effect}.",
        f"{' ' * len(begin)}{every}",
    ]
