"""Ada signs up."""

from demo.visit import Visit


def run(visit: Visit) -> str:
    visit.person = visit.call("users:sign_up", name="Ada", email="ada@example.com")
    visit.expects("$identify", "signed_up")
    return f"Ada signed up through the official npm client as {visit.person}"
