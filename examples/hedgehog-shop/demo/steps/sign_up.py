"""Ada signs up; what she did before is hers from now on."""

import secrets

from demo.visit import Visit


def run(visit: Visit) -> str:
    # Another address each time: with --data the one of the last visit is taken.
    email = f"ada-{secrets.token_hex(3)}@example.com"
    visit.person = visit.visitor.sign_up("Ada", email, "a hedge of hawthorn")
    # The form and the shelf after it; AuthSync identifies.
    visit.expects_of_page("$pageview", "$pageview", "$identify")
    visit.expects("signed_up")
    return f"She signs up as Ada, and is {visit.person} for browser and functions alike"
