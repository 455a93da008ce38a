"""The official `ConvexReactClient` and its hooks, unchanged, in a real Chromium."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from browsing import PATIENCE_MS
from playwright.sync_api import Page, expect
from serving import Line, Served

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)

Mutate = Callable[..., Any]


@pytest.fixture
def mutate(served: Served) -> Mutate:
    """Runs a mutation as somebody else."""

    def mutate(path: str, **args: Any) -> Any:
        body = {"path": path, "args": args}
        answer = httpx2.post(f"{served.url}/api/mutation", json=body, timeout=30).json()
        assert answer["status"] == "success", answer
        return answer["value"]

    return mutate


def history(page: Page, element: str) -> None:
    """From now on remember every text that the element shows."""
    page.evaluate(
        """element => {
            const seen = window.seen = [document.querySelector(element).textContent];
            new MutationObserver(() => {
                const text = document.querySelector(element).textContent;
                if (text !== seen.at(-1)) seen.push(text);
            }).observe(document.querySelector(element), {
                characterData: true, childList: true, subtree: true,
            });
        }""",
        element,
    )


def test_a_query_shows_what_others_change(page: Page, mutate: Mutate, name: str) -> None:
    mutate("counters:add", name=name, by=3)
    expect(page.locator("#total")).to_have_text("3")


def test_an_optimistic_update_stays_when_the_mutation_commits(page: Page) -> None:
    history(page, "#total")
    page.click("#add")
    expect(page.locator("#said")).to_have_text("added 1")
    page.click("#add")
    expect(page.locator("#said")).to_have_text("added 2")
    assert page.evaluate("seen") == ["0", "1", "2"], "it was never taken back in between"


def test_an_optimistic_update_is_taken_back_when_the_mutation_fails(page: Page) -> None:
    history(page, "#total")
    page.click("#refuse")
    expect(page.locator("#said")).to_have_text("REFUSED")
    expect(page.locator("#total")).to_have_text("0")
    assert page.evaluate("seen") == ["0", "100", "0"]


def test_an_action_answers_and_its_writes_show(page: Page) -> None:
    page.click("#act")
    expect(page.locator("#said")).to_have_text("acted 10")
    expect(page.locator("#total")).to_have_text("10")


def test_a_querys_error_reaches_its_boundary_alone(page: Page, mutate: Mutate, name: str) -> None:
    expect(page.locator("#limited")).to_have_text("within 0")
    mutate("counters:add", name=name, by=6)
    expect(page.locator("#limited")).to_contain_text("TOO_MANY")
    assert json.loads(page.text_content("#limited") or "") == {"code": "TOO_MANY", "total": 6}
    expect(page.locator("#total")).to_have_text("6")


def test_a_skipped_query_asks_nothing_until_it_is_wanted(
    page: Page, mutate: Mutate, name: str
) -> None:
    expect(page.locator("#skipped")).to_have_text("nothing")
    page.click("#ask")
    expect(page.locator("#skipped")).to_have_text("0")
    mutate("counters:add", name=name, by=2)
    expect(page.locator("#skipped")).to_have_text("2")
    page.click("#ask")
    expect(page.locator("#skipped")).to_have_text("nothing")


def test_pages_grow_and_shrink_where_documents_come_and_go(
    visit: Callable[[], Page], mutate: Mutate, name: str
) -> None:
    mutate("notes:add", book=name, numbers=[10, 20, 30, 40, 50, 60, 70])
    page = visit()
    expect(page.locator("#notes")).to_have_text("10 20 30")
    expect(page.locator("#status")).to_have_text("CanLoadMore")
    page.click("#more")
    expect(page.locator("#notes")).to_have_text("10 20 30 40 50 60")
    mutate("notes:add", book=name, numbers=[25, 5])
    expect(page.locator("#notes")).to_have_text("5 10 20 25 30 40 50 60")
    mutate("notes:remove", book=name, n=40)
    expect(page.locator("#notes")).to_have_text("5 10 20 25 30 50 60")
    page.click("#more")
    expect(page.locator("#notes")).to_have_text("5 10 20 25 30 50 60 70")
    expect(page.locator("#status")).to_have_text("Exhausted")


def test_a_page_comes_back_after_its_connection_broke(
    visit: Callable[[], Page], line: Line, mutate: Mutate, name: str
) -> None:
    mutate("notes:add", book=name, numbers=[1, 2, 3, 4])
    page = visit()
    expect(page.locator("#notes")).to_have_text("1 2 3")
    line.cut()
    mutate("counters:add", name=name, by=4)
    mutate("notes:add", book=name, numbers=[0])
    expect(page.locator("#total")).to_have_text("4")
    expect(page.locator("#notes")).to_have_text("0 1 2 3")
    page.wait_for_function("convex.connectionState().isWebSocketConnected")


def test_a_mutation_whose_answer_was_lost_is_done_once(page: Page, line: Line) -> None:
    line.deafen()
    page.click("#add")
    expect(page.locator("#total")).to_have_text("1")  # optimistically
    page.wait_for_function("convex.connectionState().hasInflightRequests")
    line.cut()
    expect(page.locator("#said")).to_have_text("added 1")
    expect(page.locator("#total")).to_have_text("1")
