"""The page of companions: each with its state, and what it printed as text."""

from __future__ import annotations

from visiting import Visitor

from pyconvex.companions import CompanionState, CompanionStatus


def test_each_is_shown_with_its_state() -> None:
    found = (
        CompanionStatus(
            name="tables",
            state=CompanionState.RUNNING,
            program="tables.cli:main watch",
            pid=4711,
            since_ms=0.0,
            starts=2,
        ),
        CompanionStatus(
            name="broken",
            state=CompanionState.RESTARTING,
            reason="it ended with status 1",
            program="broken:main",
            next_ms=1000.0,
            last_line="no <b>key</b>",
        ),
    )
    visitor = Visitor(companions=lambda: found)
    assert visitor.get("/dashboard/companions").status_code == 303
    visitor.sign_in()
    page = visitor.get("/dashboard/companions").text
    assert "tables.cli:main watch" in page
    assert "<dd>4711</dd>" in page
    assert '<span class="badge failed">restarting</span>' in page
    assert "it ended with status 1" in page
    assert "1970-01-01T00:00:01Z" in page
    assert "no &lt;b&gt;key&lt;/b&gt;" in page


def test_where_none_is_offered_the_page_says_so() -> None:
    visitor = Visitor(companions=lambda: ())
    visitor.sign_in()
    assert "--no-companions" in visitor.get("/dashboard/companions").text
