"""Ada takes another plan: a mutation changes it, identifies her and captures the event."""

from demo.visit import Visit


def run(visit: Visit) -> str:
    visit.visitor.choose_plan("Hedge club")
    visit.expects_of_page("$pageview")
    visit.expects("$identify", "plan_changed")
    return "A mutation changes her plan, sets the person's property and captures plan_changed"
