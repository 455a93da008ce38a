"""Ada asks the support: an agent answers, and its whole run is one trace of hers."""

from demo import tracetree
from demo.failure import DemoError
from demo.steps.browse import PRODUCT
from demo.visit import Visit

#: What answers a question: the function that the question scheduled.
FUNCTION = "chat:answer"


def run(visit: Visit) -> str:
    said = visit.visitor.ask_support(f"What does the {PRODUCT.lower()} cost?")
    visit.expects_of_page("$pageview")
    visit.expects("$ai_trace", "$ai_generation", "$ai_generation")
    told = f"She asks the support, and the answer grows before her eyes: “{said}”"
    if visit.receiver.local is None:
        return told
    # The function ends last, so the rest of its trace is there.
    run = visit.arrived("$ai_trace", {"$ai_span_name": FUNCTION})["properties"]
    trace = run["$ai_trace_id"]
    events = [e for e in visit.local.events() if e["properties"].get("$ai_trace_id") == trace]
    strangers = {event["distinct_id"] for event in events} - {visit.person}
    if strangers:
        raise DemoError(f"All of the trace should be {visit.person}'s, but some is {strangers}'s.")
    drawn = "\n".join(f"    {line}" for line in tracetree.lines(events))
    return f"{told} Her trace, {visit.local.url}/llm_analytics/{trace}:\n{drawn}"
