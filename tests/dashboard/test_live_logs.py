"""The logs page in a browser: what happens appears, stays bounded, and survives a broken line."""

from __future__ import annotations

import pytest
from dashboard_browsing import PATIENCE_S, Shop, Tab
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_lines_and_errors_appear_as_they_happen(shop: Shop, tab: Tab) -> None:
    page = tab.page
    expect(page.locator("#live")).to_have_text("live")
    shop.call("orders:place", user="ada", item="mug", amount=12)
    run = page.locator(".run", has_text="placing 12 × mug")
    expect(run.locator(".warn .text")).to_have_text("a large order: 12")
    expect(run.locator(".who")).to_contain_text("ada")
    shop.call("orders:place", user="grace", item="teapot")
    failed = page.locator(".run.failed", has_text="placing 1 × teapot")
    failed.locator(".error > summary").click()
    expect(failed).to_contain_text("check_stock")
    expect(failed.locator("mark").last).to_contain_text('raise OutOfStock(f"{item} is not on')
    assert tab.errors == []


def test_what_one_request_caused_stands_together(shop: Shop, tab: Tab) -> None:
    page = tab.page
    expect(page.locator("#live")).to_have_text("live")
    shop.call("orders:count_stock", user="ada")
    request = page.locator(".request", has_text="orders:count_stock")
    expect(request.locator(".run", has_text="orders:note")).to_contain_text("<b>stock</b> counted")
    expect(request).to_contain_text("counting")
    request.locator(".of a").click()
    expect(page.locator(".request")).to_have_count(1)
    expect(page.locator(".run", has_text="orders:note")).to_have_count(1)
    assert tab.errors == []


def test_filters_by_level_function_and_text(shop: Shop, tab: Tab) -> None:
    page = tab.page
    shop.call("orders:place", item="plush hedgehog")
    shop.call("orders:refuse", why="closed")
    page.get_by_label("Show").select_option("error")
    page.get_by_label("Function").fill("orders:")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator(".run", has_text="orders:refuse").first).to_be_visible()
    expect(page.locator(".run", has_text="placing 1 × plush hedgehog")).to_have_count(0)
    expect(page.locator("#live")).to_have_text("live")
    shop.call("orders:place", item="plush hedgehog")
    shop.call("orders:refuse", why="closed for tea")
    expect(page.locator(".run", has_text="closed for tea")).to_be_visible()
    expect(page.locator(".run", has_text="placing 1 × plush hedgehog")).to_have_count(0)
    page.get_by_role("link", name="Clear").click()
    expect(page.locator(".run", has_text="placing 1 × plush hedgehog").first).to_be_visible()


def test_a_broken_line_is_taken_up_where_it_broke(shop: Shop, tab: Tab) -> None:
    page = tab.page
    expect(page.locator("#live")).to_have_text("live")
    tab.context.set_offline(True)
    page.route("**/logs/stream*", lambda route: route.abort())
    shop.call("orders:refuse", why="while away")
    page.unroute("**/logs/stream*")
    tab.context.set_offline(False)
    expect(page.locator(".run", has_text="while away")).to_have_count(1)
    shop.call("orders:refuse", why="back again")
    expect(page.locator(".run", has_text="back again")).to_have_count(1)
    expect(page.locator(".run", has_text="while away")).to_have_count(1)


def test_pausing_holds_what_comes(shop: Shop, tab: Tab) -> None:
    page = tab.page
    expect(page.locator("#live")).to_have_text("live")
    page.get_by_role("button", name="Pause").press("Enter")
    shop.call("orders:refuse", why="unseen")
    expect(page.locator("#live")).to_have_text("paused, 1 waiting")
    expect(page.locator(".run", has_text="unseen")).to_have_count(0)
    page.get_by_role("button", name="Go on").press("Space")
    expect(page.locator(".run", has_text="unseen")).to_have_count(1)


def test_who_signs_out_elsewhere_is_told_so(shop: Shop, tab: Tab) -> None:
    page = tab.page
    expect(page.locator("#live")).to_have_text("live")
    other = tab.context.new_page()
    other.goto("/dashboard/logs")
    other.get_by_role("button", name="Sign out").click()
    other.wait_for_url("**/dashboard/sign_in")
    shop.call("orders:open_orders")
    expect(page.locator("#live")).to_have_text("ended", timeout=PATIENCE_S * 1000)
    page.get_by_role("link", name="Load the page again").click()
    page.wait_for_url("**/dashboard/sign_in?next=*")


def test_signing_in_with_the_key(shop: Shop, tab: Tab) -> None:
    page = tab.page
    page.get_by_role("button", name="Sign out").click()
    page.goto("/dashboard/logs?level=warn")
    page.get_by_label("Admin key").fill("local|wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not this deployment's admin key")
    page.get_by_label("Admin key").fill(shop.served.admin_key)
    page.keyboard.press("Enter")
    page.wait_for_url("**/dashboard/logs?level=warn")
    [cookie] = tab.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (
        True,
        "Strict",
        "/dashboard",
    )
