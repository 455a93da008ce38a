"""Ada's open tab shows a price that depends on a flag."""

from demo.visit import Visit


def run(visit: Visit) -> str:
    visit.visitor.send(op="watch", path="shop:price", args={"user_id": visit.person})
    visit.sees_price(100)
    # The query reports it by itself; exposures leave by a way of their own.
    visit.expects_sometime("$feature_flag_called")
    return "Ada's open tab shows the price 100, from a query that reads a flag"
