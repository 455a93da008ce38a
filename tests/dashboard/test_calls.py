"""The page that runs a function: with arguments, as somebody, and never by a link alone."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator

import httpx2
import pytest
from dashboard_browsing import PATIENCE_S, Shop, Tab
from playwright.sync_api import expect

PLACE = "/dashboard/functions/run?function=orders:place"


class Visitor:
    """Somebody who is signed in and sends forms as the pages do."""

    def __init__(self, client: httpx2.Client) -> None:
        self.client = client

    def form(self, path: str) -> str:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    def run(self, path: str, **fields: str) -> httpx2.Response:
        token = re.search(r'name="form_token" value="([^"]+)"', self.form(path))
        assert token is not None
        return self.client.post(path, data={"form_token": token[1], **fields})


@pytest.fixture
def visitor(shop: Shop) -> Iterator[Visitor]:
    with httpx2.Client(
        base_url=shop.url, headers={"origin": shop.url}, timeout=PATIENCE_S
    ) as client:
        link = shop.link().rpartition("/")[2]
        assert client.post("/dashboard/sign_in", data={"link": link}).status_code == 303
        yield Visitor(client)


def orders(shop: Shop) -> int:
    return int(shop.call("orders:open_orders")["value"])


def preformatted(page: str, label: str) -> str:
    found = re.search(rf'<pre[^>]*aria-label="{label}">(.*?)</pre>', page, re.S)
    assert found is not None, page
    return html.unescape(found[1])


def test_the_form_begins_with_what_must_be_there(visitor: Visitor) -> None:
    page = html.unescape(visitor.form(PLACE))
    assert '{\n  "item": ""\n}</textarea>' in page
    assert re.search(r"amount\?</dt><dd class=\"mono\">number<", page)
    assert "Run mutation" in page


def test_a_mutation_runs_once_and_shows_its_result(shop: Shop, visitor: Visitor) -> None:
    before = orders(shop)
    answer = visitor.run(PLACE, arguments='{"item": "mug", "amount": 2}')
    assert answer.status_code == 200
    assert preformatted(answer.text, "Result") == "null"
    assert "placing 2 × mug" in answer.text
    assert orders(shop) == before + 1


def test_looking_runs_nothing(shop: Shop, visitor: Visitor) -> None:
    before = orders(shop)
    visitor.form(f"{PLACE}&arguments=%7B%22item%22%3A%22mug%22%7D")
    assert orders(shop) == before


def test_a_form_from_elsewhere_runs_nothing(shop: Shop, visitor: Visitor) -> None:
    before, fields = orders(shop), {"arguments": '{"item": "mug"}'}
    refused = [
        visitor.client.post(PLACE, data=fields),
        visitor.client.post(PLACE, data={**fields, "form_token": "x"}),
        visitor.client.post(PLACE, data=fields, headers={"origin": "https://elsewhere.example"}),
        httpx2.post(shop.url + PLACE, data=fields, headers={"origin": shop.url}),
    ]
    assert [one.status_code for one in refused] == [403, 403, 403, 401]
    assert orders(shop) == before


def test_errors_are_whole(visitor: Visitor) -> None:
    failed = visitor.run(PLACE, arguments='{"item": "teapot"}').text
    error = preformatted(failed, "Error")
    assert "OutOfStock: teapot is not on the shelf" in error
    assert "orders.py" in error
    assert "KeyError" in failed, "the cause, with its frames, among what ran"
    refused = visitor.run(
        "/dashboard/functions/run?function=orders:refuse", arguments='{"why": "<b>no</b>"}'
    ).text
    assert json.loads(preformatted(refused, "Data of the error"))["why"] == "<b>no</b>"
    assert "<b>no</b>" not in refused
    invalid = visitor.run(PLACE, arguments='{"item": 3}').text
    assert "ArgumentValidationError" in preformatted(invalid, "Error")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"arguments": "{item: 1}"}, "Nothing was run: this is no JSON of arguments."),
        ({"arguments": "[1]"}, "Nothing was run: arguments are one object"),
        ({"arguments": "{}", "identity": "ann"}, "This is no JSON object"),
        ({"arguments": "{}", "identity": "{}"}, "neither `tokenIdentifier` nor"),
    ],
)
def test_what_can_not_be_meant_is_said_at_its_field(
    shop: Shop, visitor: Visitor, fields: dict[str, str], says: str
) -> None:
    before = orders(shop)
    answer = visitor.run(PLACE, **fields)
    assert answer.status_code == 400
    assert says in html.unescape(answer.text)
    assert html.escape(fields["arguments"]) in answer.text, "what was typed stays"
    assert orders(shop) == before


def test_internal_functions_actions_and_users(visitor: Visitor) -> None:
    note = visitor.run(
        "/dashboard/functions/run?function=orders:note", arguments='{"text": "<i>a line</i>"}'
    ).text
    assert "&lt;i&gt;a line" in note
    counted = visitor.run("/dashboard/functions/run?function=orders:count_stock", arguments="{}")
    assert preformatted(counted.text, "Result") == "2.0"
    query = "/dashboard/functions/run?function=orders:who_am_i"
    assert preformatted(visitor.run(query).text, "Result") == "null"
    asked = visitor.run(query, identity='{"subject": "ann"}').text
    assert preformatted(asked, "Result") == '"ann"'


def test_a_function_that_is_not_there(visitor: Visitor) -> None:
    answer = visitor.client.get("/dashboard/functions/run?function=orders:plaec")
    assert answer.status_code == 404
    assert "There is no function orders:plaec" in answer.text


@pytest.mark.browser
def test_from_the_list_of_functions_to_a_result(tab: Tab) -> None:
    page = tab.page
    page.goto("/dashboard/functions")
    page.get_by_role("link", name="orders:place").click()
    expect(page.get_by_label("Arguments")).to_have_value('{\n  "item": ""\n}')
    page.get_by_label("Arguments").fill('{"item": "mug", "amount": 3}')
    page.get_by_role("button", name="Run mutation").click()
    expect(page.get_by_label("Result")).to_have_text("null")
    expect(page.locator(".run")).to_contain_text("placing 3 × mug")
    page.get_by_role("navigation").get_by_role("link", name="Tables").click()
    page.get_by_role("link", name="orders").click()
    page.get_by_label("Field").fill("amount")
    page.get_by_label("Value").fill("3")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.locator("tbody a").click()
    expect(page.locator("table.fields")).to_contain_text("mug")
    assert tab.errors == []
