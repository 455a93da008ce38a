"""PostHog Logs and Error Tracking, set up through their forms, and what then arrives there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dashboard_browsing import AXE, PATIENCE_S, Shop, Tab
from playwright.sync_api import expect

from posthog_local.testing import PostHogLocal, running

pytestmark = pytest.mark.browser
TOKEN = "phc_hedgehog_0123456789_canary"
PICTURES = {"logs": "postHogLogs", "errors": "postHogErrorTracking"}


@pytest.fixture(scope="module")
def posthog() -> Iterator[PostHogLocal]:
    with running(arguments=["--token", TOKEN]) as local:
        yield local


@pytest.fixture
def variables(shop: Shop, posthog: PostHogLocal) -> Iterator[None]:
    """The app's variables, which the forms begin with; no stream is there."""
    set_variables(shop, POSTHOG_PROJECT_TOKEN=TOKEN, POSTHOG_HOST=posthog.url)
    yield
    set_variables(shop, POSTHOG_PROJECT_TOKEN=None, POSTHOG_HOST=None)
    for stream in shop.admin("GET", "/api/v1/list_log_streams").json():
        shop.admin("POST", f"/api/v1/delete_log_stream/{stream['id']}", {})


def set_variables(shop: Shop, **values: str | None) -> None:
    changes = [{"name": name, "value": value} for name, value in values.items()]
    shop.admin("POST", "/api/update_environment_variables", {"changes": changes})


@pytest.mark.usefixtures("variables")
@pytest.mark.parametrize("name", PICTURES)
def test_a_form_at_a_desk_and_on_a_phone(shop: Shop, tab: Tab, name: str) -> None:
    page = tab.page
    set_variables(shop, POSTHOG_HOST="https://eu.i.posthog.com")
    for width in (390, 1000):
        page.set_viewport_size({"width": width, "height": 700})
        page.goto(f"/dashboard/log_streams/new/{PICTURES[name]}")
        expect(page.locator("#field-host")).to_have_value("https://eu.i.posthog.com")
        assert not tab.overflows()
    tab.keep_picture(f"posthog-{name}")


@pytest.mark.usefixtures("variables")
def test_both_forms_begin_with_the_variables_and_lead_to_posthog(
    shop: Shop, posthog: PostHogLocal, tab: Tab
) -> None:
    page = tab.page
    page.set_viewport_size({"width": 1200, "height": 760})
    for kind in PICTURES.values():
        page.goto(f"/dashboard/log_streams/new/{kind}")
        expect(page.locator("#field-host")).to_have_value(posthog.url)
        expect(page.locator("#field-apiKey")).to_have_value("")
        assert TOKEN not in page.content()
        if AXE.exists():
            assert (tab.serious(), tab.overflows()) == ([], False)
        page.get_by_role("button", name="Add").click()
        page.wait_for_url("**/log_streams/*made=1")
        expect(page.locator(".badge")).to_have_text("active", timeout=PATIENCE_S * 1000)
        assert TOKEN not in page.content()
    shop.call("orders:place", user="ada", item="teapot")
    page.goto("/dashboard/log_streams")
    for title in ("PostHog Logs", "PostHog Error Tracking"):
        card = page.locator(".panel", has_text=title)
        sent = card.locator(".numbers div", has_text="sent").locator("dd")
        expect(sent).not_to_have_text("0", timeout=PATIENCE_S * 1000)
    tab.keep_picture("log-streams")
    error = posthog.wait_for_event("$exception", distinct_id="ada", timeout=PATIENCE_S)
    lines = posthog.logs(distinct_id="ada")
    assert error["properties"]["$exception_types"] == ["OutOfStock", "KeyError"]
    assert any(line["body"] == "placing 1 × teapot" for line in lines)
    assert tab.errors == []


@pytest.mark.usefixtures("variables")
def test_what_is_wrong_reads_as_in_convexs_forms(
    shop: Shop, posthog: PostHogLocal, tab: Tab
) -> None:
    page = tab.page
    set_variables(shop, POSTHOG_PROJECT_TOKEN=None)
    page.goto("/dashboard/log_streams/new/postHogLogs")
    expect(page.locator("#field-apiKey")).to_have_attribute("placeholder", "phc_...")
    page.locator("#field-host").fill("nowhere")
    page.get_by_label("All there are").uncheck()
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#problem-apiKey")).to_have_text("PostHog project token is required")
    expect(page.locator("#problem-host")).to_have_text("Must be a valid URL")
    expect(page.locator("#problem-topics")).to_have_text("Select at least one topic.")
    page.get_by_label("All there are").check()
    page.locator("#field-host").fill(posthog.url)
    page.locator("#field-apiKey").fill("phx_personal_canary")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#problem-apiKey")).to_contain_text("personal API key")
    assert "phx_personal_canary" not in page.content()
    page.locator("#field-apiKey").fill("phc_of_nobody")
    posthog.add_fault("/flags", status=401)
    page.get_by_role("button", name="Add").click()
    page.wait_for_url("**/log_streams/*made=1")
    expect(page.locator(".badge")).to_have_text("failed", timeout=PATIENCE_S * 1000)
    expect(page.locator(".state .alert")).to_contain_text("knows no project with this token")
    posthog.clear_faults()
    page.locator("#field-apiKey").fill(TOKEN)
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/log_streams/*saved=1")
    expect(page.locator(".badge")).to_have_text("active", timeout=PATIENCE_S * 1000)
