"""The pages that show what is in the deployment: functions, tables, schedules, variables' names."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx2
import pytest
from dashboard_browsing import PATIENCE_S, Shop, Tab
from playwright.sync_api import expect

CANARY = "canary-value-of-a-variable"


@pytest.fixture
def visitor(shop: Shop) -> Iterator[httpx2.Client]:
    """Somebody who is signed in."""
    with httpx2.Client(
        base_url=shop.url, headers={"origin": shop.url}, timeout=PATIENCE_S
    ) as client:
        link = shop.link().rpartition("/")[2]
        assert client.post("/dashboard/sign_in", data={"link": link}).status_code == 303
        yield client


def test_functions_with_kind_visibility_and_arguments(visitor: httpx2.Client) -> None:
    page = visitor.get("/dashboard/functions").text
    place = re.search(r"<tr><td[^>]*><a href=\"[^\"]*\">orders:place<.*?</tr>", page)
    assert place is not None
    cells = re.findall(r"<td[^>]*>(?:<a[^>]*>)?(.*?)(?:</a>)?</td>", place[0])
    assert cells == ["orders:place", "mutation", "everybody", "amount?: number, item: string"]
    assert re.search(r"orders:note</a></td><td>mutation</td><td>the app itself</td>", page)


def test_documents_page_by_page(shop: Shop, visitor: httpx2.Client) -> None:
    assert 'href="/dashboard/tables/orders"' in visitor.get("/dashboard/tables").text
    for number in range(60):
        shop.call("orders:place", item="mug", amount=number)
    first = visitor.get("/dashboard/tables/orders").text
    assert first.count("<tr>") == 51
    older = re.search(r'href="([^"]+)">Older<', first)
    assert older is not None
    second = visitor.get(older[1].replace("&amp;", "&")).text
    assert second.count("<tr>") >= 11
    assert "First page" in second
    shown = set(re.findall(r"[0-9a-hjkmnp-tv-z]{31,37}", first))
    assert not shown & set(re.findall(r"[0-9a-hjkmnp-tv-z]{31,37}", second))


def test_documents_that_conditions_choose(shop: Shop, visitor: httpx2.Client) -> None:
    for item in ("mug", "mug", "plush hedgehog"):
        shop.call("orders:place", item=item)
    chosen = visitor.get(
        "/dashboard/tables/orders",
        params={"field": ["item", ""], "op": ["contains", "eq"], "value": ["HEDGE", ""]},
    ).text
    ids = re.findall(r'href="/dashboard/tables/orders/([a-z0-9]+)"', chosen)
    assert len(ids) == 1
    assert 'value="HEDGE"' in chosen
    document = visitor.get(f"/dashboard/tables/orders/{ids[0]}").text
    for text in ("plush hedgehog", "_creationTime", "string", "number", "&#34;amount&#34;: 1.0"):
        assert text in document
    by_id = {"field": "_id", "op": "eq", "value": ids[0]}
    assert ids[0] in visitor.get("/dashboard/tables/orders", params=by_id).text
    none = visitor.get("/dashboard/tables/orders", params={**by_id, "value": "x"}).text
    assert "No documents are as you say." in none
    gone = visitor.get("/dashboard/tables/orders/nothing")
    assert (gone.status_code, "There is no document nothing" in gone.text) == (404, True)


def test_what_is_not_there_is_said(visitor: httpx2.Client) -> None:
    for path in ("tables/_secrets", "tables/orders?component=nowhere", "tables/orders?cursor=x"):
        page = visitor.get(f"/dashboard/{path}")
        assert (page.status_code, "No answer" in page.text) == (404, True), path


def test_schedules(shop: Shop, visitor: httpx2.Client) -> None:
    shop.call("orders:remind", text="<b>call</b>")
    page = visitor.get("/dashboard/schedules").text
    assert "count the shelf" in page
    assert re.search(r"orders.py:note</td>.*?<td>pending</td>", page, re.S)


def test_variables_by_name_alone(shop: Shop, visitor: httpx2.Client) -> None:
    assert "No variable is set." in visitor.get("/dashboard/variables").text
    changes = [{"name": "SHOP_KEY", "value": CANARY}]
    shop.admin("POST", "/api/update_environment_variables", {"changes": changes})
    for path in ("variables", "logs", "functions", "schedules", "log_streams"):
        page = visitor.get(f"/dashboard/{path}").text
        assert ("SHOP_KEY" in page, CANARY in page) == (path == "variables", False)


@pytest.mark.browser
def test_a_page_of_the_app_reads_nothing_of_the_dashboard(shop: Shop, tab: Tab) -> None:
    tab.page.goto("/dashboard/variables")
    expect(tab.page.locator("h1")).to_have_text("Variables")
    tab.page.goto("/http/page")
    expect(tab.page).to_have_title("kept out")
    # Its session is there all the same.
    tab.page.goto("/dashboard/variables")
    expect(tab.page.locator("h1")).to_have_text("Variables")
