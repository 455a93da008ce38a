"""Who is whom when a browser and functions report together: the edges of one person's timeline."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from demo.receiver import FLAG
from demo.timeline import Expected, wait_for
from opened_shop import Opened
from playwright.sync_api import Browser
from shopper import PRODUCT, Shopper, mail

from posthog_local.testing import PostHogLocal

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
#: What reaching PostHog Local may take on a busy machine, in seconds.
PATIENCE_S = 60.0

Opens = Callable[[], Shopper]


@pytest.fixture
def opens(browser: Browser, opened: Opened) -> Iterator[Opens]:
    """A browser that has been nowhere, each time."""
    shoppers: list[Shopper] = []

    def open_one() -> Shopper:
        shoppers.append(Shopper(browser, opened.url, opened.receiver.token))
        return shoppers[-1]

    yield open_one
    for shopper in shoppers:
        shopper.leaves()


@pytest.fixture
def local(opened: Opened) -> PostHogLocal:
    assert opened.receiver.local is not None
    return opened.receiver.local


def events_of(local: PostHogLocal, person: str) -> list[dict[str, Any]]:
    return local.events(distinct_id=person, limit=10_000)


def arrive(local: PostHogLocal, person: str, *names: str) -> list[dict[str, Any]]:
    """The person's events, once each of these has come; a name may be given more than once."""
    for name in set(names):
        local.wait_for_events(name, names.count(name), distinct_id=person, timeout=PATIENCE_S)
    return events_of(local, person)


def sessions_in(events: list[dict[str, Any]], *names: str) -> set[str | None]:
    """The sessions that these events name, all others if none are given."""
    chosen = [one for one in events if not names or one["event"] in names]
    return {one["properties"].get("$session_id") for one in chosen}


def bucket(person: str) -> float:
    """Where the rollout of the discount puts somebody, from 0 to 1."""
    return int(hashlib.sha1(f"{FLAG}.{person}".encode()).hexdigest()[:15], 16) / (16**15 - 1)


def test_what_happened_before_identify_is_on_the_person(local: PostHogLocal, opens: Opens) -> None:
    shopper = opens()
    # The page can't reach PostHog at first, so that it hears of the person from functions.
    captured = re.compile(re.escape(local.url) + r"/(i/v0/)?e/")
    shopper.page.route(captured, lambda route: route.abort())
    anonymous = shopper.visit()
    early = shopper.joins("Early")
    shopper.choose_plan("Hedge club")
    arrive(local, early, "signed_up", "plan_changed")
    before = local.person(early)
    assert before is not None
    assert (before["distinct_ids"], local.person(anonymous)) == ([early], None)
    shopper.page.unroute(captured)  # posthog-js tries again by itself
    events = arrive(local, early, "$pageview", "$pageview", "$identify", "$identify")
    after = local.person(early)
    assert after is not None
    assert after["id"] == before["id"]
    assert set(after["distinct_ids"]) == {anonymous, early}
    assert after["properties"]["email"] == mail("Early")
    assert after["properties"]["plan"] == "club"
    assert {one["distinct_id"] for one in events if one["event"] == "$pageview"} >= {anonymous}
    # In the order in which it happened, whatever came first; and nothing twice.
    told = [entry.get("event") for entry in local.timeline(early)]
    named = [name for name in told if name in ("$pageview", "signed_up", "plan_changed")]
    assert named[0] == "$pageview"
    assert [name for name in named if name != "$pageview"] == ["signed_up", "plan_changed"]
    assert len({one["uuid"] for one in events}) == len(events)
    assert local.warnings() == []


def test_a_second_user_on_the_same_browser_is_another_person(
    local: PostHogLocal, opens: Opens
) -> None:
    shopper = opens()
    shopper.visit()
    first = shopper.joins("First")
    first_session = shopper.session
    shopper.put_into_cart(PRODUCT)
    shopper.signs_out()
    between = shopper.visit()
    assert between not in (first, "")
    second = shopper.joins("Second")
    second_session = shopper.session
    shopper.put_into_cart(PRODUCT)
    shopper.choose_plan("Hedge club")

    of_first = arrive(local, first, "signed_up", "added_to_cart", "$identify")
    of_second = arrive(local, second, "signed_up", "plan_changed", "$identify", "$identify")
    one, other = local.person(first), local.person(second)
    assert one is not None
    assert other is not None
    assert one["id"] != other["id"]
    assert set(other["distinct_ids"]) == {between, second}
    assert second not in one["distinct_ids"]
    assert (one["properties"]["email"], other["properties"]["email"]) == (
        mail("First"),
        mail("Second"),
    )
    assert "plan" not in one["properties"]  # the second one's upgrade
    assert first_session != second_session
    assert sessions_in(of_first) - {None} == {first_session}
    assert second_session in sessions_in(of_second, "added_to_cart", "plan_changed")
    assert first_session not in sessions_in(of_second)
    assert not {event["uuid"] for event in of_first} & {event["uuid"] for event in of_second}
    assert {event["distinct_id"] for event in of_second} == {between, second}
    assert local.warnings() == []


def test_a_flag_of_one_user_is_not_left_to_the_next(local: PostHogLocal, opens: Opens) -> None:
    shopper = opens()
    shopper.visit()
    people = {}
    for name in ("Third", "Fourth"):
        people[name] = shopper.joins(name)
        shopper.signs_out()
    inside, outside = sorted(people, key=lambda name: bucket(people[name]))
    rollout = 50 * (bucket(people[inside]) + bucket(people[outside]))
    local.set_flag(FLAG, rollout=rollout, variants={"variant-a": 100, "variant-b": 0})
    try:
        assert shopper.signs_in(inside) == people[inside]
        shopper.sees_price(PRODUCT, 80)
        shopper.wait_until_kept(f"kept => kept.$enabled_feature_flags?.['{FLAG}'] === 'variant-a'")
        shopper.put_into_cart(PRODUCT)
        shopper.signs_out()
        shopper.sees_price(PRODUCT, 100)
        assert shopper.signs_in(outside) == people[outside]
        shopper.sees_price(PRODUCT, 100)
        shopper.wait_until_kept(f"kept => !kept.$enabled_feature_flags?.['{FLAG}']")
        shopper.put_into_cart(PRODUCT)
        shown = shopper.page.evaluate("location.pathname")
    finally:
        local.set_flag(FLAG, active=False, variants={"variant-a": 100, "variant-b": 0})
    ours = arrive(local, people[inside], "added_to_cart", "$feature_flag_called")
    others = arrive(local, people[outside], "added_to_cart", "$feature_flag_called")
    assert answers(ours) >= {"variant-a"}
    assert "variant-a" not in answers(others)
    # So does what the page has captured since it was told the flags of this user.
    viewed = {"$pathname": shown, "distinct_id": people[outside]}
    view = local.wait_for_event("$pageview", properties=viewed, timeout=PATIENCE_S)
    assert view["properties"].get(f"$feature/{FLAG}") in (None, False)
    # And what nobody's browser has captured in between knows the flag of nobody.
    for event in (*ours, *others):
        if (
            event["distinct_id"] not in people.values()
            and 100 * bucket(event["distinct_id"]) > rollout
        ):
            assert event["properties"].get(f"$feature/{FLAG}") in (None, False)


def answers(events: list[dict[str, Any]]) -> set[Any]:
    """What the flag was for the person, by the exposures that came."""
    called = (one["properties"] for one in events if one["event"] == "$feature_flag_called")
    return {one["$feature_flag_response"] for one in called if one["$feature_flag"] == FLAG}


def test_two_browsers_of_one_user_are_one_person(local: PostHogLocal, opens: Opens) -> None:
    laptop, phone = opens(), opens()
    on_laptop = laptop.visit()
    user = laptop.joins("Both")
    on_phone = phone.visit()
    assert len({on_laptop, on_phone, user}) == 3
    assert phone.signs_in("Both") == user
    phone.put_into_cart(PRODUCT)
    laptop.choose_plan("Hedge club")

    events = arrive(local, user, "added_to_cart", "plan_changed", *["$identify"] * 3)
    person = local.person(user)
    assert person is not None
    assert set(person["distinct_ids"]) == {on_laptop, on_phone, user}
    assert [one["event"] for one in events].count("signed_up") == 1
    assert laptop.session != phone.session
    assert sessions_in(events, "added_to_cart") == {phone.session}
    assert sessions_in(events, "plan_changed", "signed_up") == {laptop.session}
    assert sessions_in(events, "$pageview") == {laptop.session, phone.session}
    assert local.warnings() == []


def test_two_sessions_of_one_user_each_keep_what_is_theirs(
    local: PostHogLocal, opens: Opens
) -> None:
    shopper = opens()
    shopper.visit()
    user = shopper.joins("Twice")
    sessions = [shopper.session]
    shopper.choose_plan("Hedge club")
    shopper.put_into_cart(PRODUCT)
    shopper.fail_to_pay("declined")
    shopper.comes_back_later()
    sessions.append(shopper.session)
    assert len(set(sessions)) == 2
    shopper.put_into_cart(PRODUCT)
    shopper.fail_to_pay("declined")
    shopper.pay("works")

    events = arrive(
        local, user, "$exception", "$exception", "added_to_cart", "added_to_cart",
        "plan_changed", "order_placed",
    )  # fmt: skip
    assert sessions_in(events, "signed_up", "plan_changed") == {sessions[0]}
    assert sessions_in(events, "order_placed") == {sessions[1]}
    for name in ("$exception", "added_to_cart"):
        one, other = (event for event in events if event["event"] == name)
        assert [one["properties"]["$session_id"], other["properties"]["$session_id"]] == sessions
    assert sessions_in(events, "$pageview") == set(sessions)
    shopper.page.goto("about:blank")  # posthog-js sends what it has recorded
    replays = recordings_of(local, user, 2)
    assert [each["session_id"] for each in replays] == sessions
    person = local.person(user)
    assert person is not None
    assert user in person["distinct_ids"]


def recordings_of(local: PostHogLocal, user: str, count: int) -> list[dict[str, Any]]:
    """The replays on the person's timeline, in order, once there are that many."""
    entries = wait_for(local, user, [Expected("replay", step=1)] * count, PATIENCE_S)
    return [dict(entry) for entry in entries if entry["kind"] == "replay"]
