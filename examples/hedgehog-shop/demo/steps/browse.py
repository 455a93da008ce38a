"""Somebody looks around, anonymously."""

from demo.visit import Visit

#: What the visit is about.
PRODUCT = "Winter house"


def run(visit: Visit) -> str:
    visit.person = visit.visitor.look_around(PRODUCT)
    visit.expects_of_page("$pageview", "$pageview")  # the shelf and the product
    return f"Somebody looks at the {PRODUCT.lower()}, with {visit.visitor.client}"
