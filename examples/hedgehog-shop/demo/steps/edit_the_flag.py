"""Somebody edits the flag in PostHog Local, and the price in Ada's open tab changes by itself."""

from demo.receiver import FLAG, VARIANTS
from demo.steps.browse import PRODUCT
from demo.timeline import EXPOSURE
from demo.visit import Visit


def run(visit: Visit) -> str:
    visit.visitor.sees_price(PRODUCT, 100)
    visit.expects_of_page("$pageview")
    if not visit.visitor.edit_flag(visit.local.url, FLAG):
        visit.local.set_flag(FLAG, variants=VARIANTS)
    visit.visitor.sees_price(PRODUCT, 80)
    visit.arrived(EXPOSURE, {"$feature_flag": FLAG, "$feature_flag_response": "variant-a"})
    visit.expects_sometime(EXPOSURE)
    return "The flag is switched on in PostHog Local: the price on the open page falls to 80 €"
