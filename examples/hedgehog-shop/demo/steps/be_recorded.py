"""What Ada's browser showed was recorded all the while, as one session."""

from demo.failure import DemoError
from demo.processes import PATIENCE_S
from demo.timeline import wait_for
from demo.visit import Visit


def run(visit: Visit) -> str:
    visit.expects_sometime("replay")  # it stands where the session began
    entries = wait_for(visit.local, visit.person, visit.expected, PATIENCE_S)
    replays = [entry for entry in entries if entry["kind"] == "replay"]
    if len(replays) != 1:
        raise DemoError(f"One visit should be one recording, but there are {len(replays)}.")
    session = replays[0]["session_id"]
    others = {
        entry["properties"].get("$session_id")
        for entry in entries
        if entry.get("event") in ("plan_changed", "order_placed", "$exception", "$pageview")
    }
    if others != {session}:
        raise DemoError(f"Events should carry the session {session}, but they carry {others}.")
    return f"All of it is in one recording: {visit.local.url}/replay/{session}"
