"""Ada signs up; what she did before is hers from now on."""

from demo.visit import Visit


def run(visit: Visit) -> str:
    visit.person = visit.visitor.sign_up("Ada", "ada@example.com", "a hedge of hawthorn")
    # The form and the shelf after it; AuthSync identifies.
    visit.expects_of_page("$pageview", "$pageview", "$identify")
    visit.expects("signed_up")
    return f"She signs up as Ada, and is {visit.person} for browser and functions alike"
