"""Ada buys a house at the list price."""

from demo.steps.browse import PRODUCT
from demo.timeline import EXPOSURE
from demo.visit import Visit


def run(visit: Visit) -> str:
    visit.visitor.sees_price(PRODUCT, 100)
    visit.visitor.put_into_cart(PRODUCT)
    visit.visitor.pay("works")
    visit.expects_of_page("$pageview", "$pageview", "$pageview")  # shelf, product, cart
    visit.expects("added_to_cart", "order_placed")
    visit.expects("log")  # what the checkout prints
    visit.expects_of_page("console")  # the Convex client shows it there, too
    if visit.receiver.flags_key is not None:
        # The queries that read the discount's flag report it by themselves, in their own time.
        visit.expects_sometime(EXPOSURE)
    return "She buys one for 100 €; order and event are one transaction"
