"""Somebody edits the flag in PostHog Local, and the price in Ada's open tab changes."""

from demo.seeds import FLAG
from demo.visit import Visit


def run(visit: Visit) -> str:
    visit.local.set_flag(FLAG, variants={"variant-a": 100, "variant-b": 0})
    visit.sees_price(80)
    return "The flag was edited: the query ran again by itself, the tab shows 80"
