"""Ada takes another plan."""

from demo.visit import Visit


def run(visit: Visit) -> str:
    visit.call("users:upgrade", user_id=visit.person, plan="pro")
    visit.expects("$identify", "plan_changed")
    return "A mutation changed Ada's plan, identified her and captured plan_changed"
