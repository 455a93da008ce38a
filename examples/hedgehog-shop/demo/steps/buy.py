"""Ada buys one."""

from demo.visit import Visit


def run(visit: Visit) -> str:
    visit.call("shop:buy", user_id=visit.person)
    visit.expects("order_placed")
    return "Ada bought one"
