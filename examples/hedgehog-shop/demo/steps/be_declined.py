"""Ada's second purchase fails, and with it everything that it had written."""

from demo.failure import DemoError
from demo.visit import Visit


def run(visit: Visit) -> str:
    visit.visitor.send(
        op="mutation",
        id="declined",
        path="shop:buy",
        args={"user_id": visit.person, "card": "0000"},
    )
    line = visit.visitor.expect("the refusal", lambda line: line.get("id") == "declined")
    if line["event"] != "refused" or line["data"] != "The card was declined":
        raise DemoError(f"The purchase should have been declined, but it gave {line}.")
    return "A second purchase was declined and rolled back"
