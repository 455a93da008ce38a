"""The shape of each event, also beside what the official SDK builds from the same call."""

from __future__ import annotations

from typing import Any

import pytest
from posthog import Posthog

import posthog_convex
from posthog_convex import events
from posthog_convex.events.builders import LIBRARY_VERSION

STAMP = events.Stamp("018fd3a9-0400-7000-8000-000000000005", "2024-06-01T12:00:00.000Z")
OURS = {
    "$lib": "posthog-convex-python",
    "$lib_version": LIBRARY_VERSION,
    "$is_server": True,
    "$geoip_disable": True,
}


def test_capture() -> None:
    event = events.capture(
        "order placed", distinct_id="u1", stamp=STAMP, properties={"n": 1}, groups={"company": 5}
    )
    assert event == {
        "uuid": STAMP.uuid,
        "event": "order placed",
        "distinct_id": "u1",
        "timestamp": STAMP.timestamp,
        "properties": {"n": 1, "$groups": {"company": "5"}, **OURS},
    }


@pytest.mark.parametrize("nobody", [None, "", "  "])
def test_capture_without_anyone_makes_no_person_profile(nobody: str | None) -> None:
    event = events.capture("e", distinct_id=nobody, stamp=STAMP)
    assert event["distinct_id"] == STAMP.uuid
    assert event["properties"]["$process_person_profile"] is False
    kept = events.capture(
        "e", distinct_id=nobody, stamp=STAMP, properties={"$process_person_profile": True}
    )
    assert kept["properties"]["$process_person_profile"] is True


def test_geoip_can_be_asked_for() -> None:
    event = events.capture("e", distinct_id="u", stamp=STAMP, disable_geoip=False)
    assert "$geoip_disable" not in event["properties"]


def test_identify() -> None:
    event = events.identify(
        distinct_id="u1",
        stamp=STAMP,
        properties={"plan": "pro"},
        set_once={"first": 1},
        anon_distinct_id="anon",
    )
    assert event["event"] == "$identify"
    assert event["$set"] == {"plan": "pro"}
    assert event["$set_once"] == {"first": 1}
    assert event["properties"] == {"$anon_distinct_id": "anon", **OURS}
    assert {"$set", "$set_once"}.isdisjoint(events.identify(distinct_id="u1", stamp=STAMP))


@pytest.mark.parametrize(
    "build",
    [
        lambda: events.identify(distinct_id=None, stamp=STAMP),
        lambda: events.set_properties(distinct_id=" ", stamp=STAMP, properties={}),
        lambda: events.set_once(distinct_id=None, stamp=STAMP, properties={}),
        lambda: events.alias(alias="a", distinct_id=None, stamp=STAMP),
    ],
)
def test_what_changes_a_person_names_the_person(build: Any) -> None:
    with pytest.raises(events.EventError, match="needs a distinct id"):
        build()


def test_an_alias_names_two_ids() -> None:
    with pytest.raises(events.EventError, match="the person's other id"):
        events.alias(distinct_id="u", alias=" ", stamp=STAMP)


def test_an_event_needs_a_name() -> None:
    with pytest.raises(events.EventError, match="needs a name"):
        events.capture("", distinct_id="u", stamp=STAMP)


def test_library_version_is_the_package_version() -> None:
    assert posthog_convex.__version__ == LIBRARY_VERSION


class Sdk:
    """What the official SDK would send, its own extras left out."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.client = Posthog(
            "phc_x",
            sync_mode=True,
            send=False,
            host="http://127.0.0.1:1",
            before_send=lambda event: self.sent.append(event),
        )

    def last(self) -> dict[str, Any]:
        event = dict(self.sent[-1])
        extras = ("$lib", "$python", "$os", "$context", "$geoip")
        event["properties"] = {
            k: v for k, v in event["properties"].items() if not k.startswith(extras)
        }
        return {key: value for key, value in event.items() if key not in ("uuid", "timestamp")}


def shape(event: events.Event) -> dict[str, Any]:
    bare = {k: v for k, v in event["properties"].items() if k not in OURS or k == "$is_server"}
    rest = {k: v for k, v in event.items() if k not in ("uuid", "timestamp")}
    return rest | {"properties": bare}


def test_shapes_are_those_of_the_official_sdk() -> None:
    sdk = Sdk()
    sdk.client.capture("e", distinct_id="u", properties={"a": 1}, groups={"company": "c"})
    assert (
        shape(
            events.capture(
                "e", distinct_id="u", stamp=STAMP, properties={"a": 1}, groups={"company": "c"}
            )
        )
        == sdk.last()
    )
    sdk.client.set(distinct_id="u", properties={"a": 1})
    ours = events.set_properties(distinct_id="u", stamp=STAMP, properties={"a": 1})
    assert shape(ours) == sdk.last()
    sdk.client.set_once(distinct_id="u", properties={"a": 1})
    ours = events.set_once(distinct_id="u", stamp=STAMP, properties={"a": 1})
    assert shape(ours) == sdk.last()
    sdk.client.alias(previous_id="old", distinct_id="new")
    ours = events.alias(distinct_id="old", alias="new", stamp=STAMP)
    assert shape(ours) == sdk.last()
    sdk.client.group_identify("company", "c", {"a": 1}, distinct_id="$company_c")
    ours = events.group_identify("company", "c", stamp=STAMP, properties={"a": 1})
    assert shape(ours) == sdk.last()


def test_identify_takes_properties_as_the_npm_component_does() -> None:
    event = events.identify(
        distinct_id="u",
        stamp=STAMP,
        properties={
            "$set": {"plan": "pro"},
            "$set_once": {"first": 1, "both": "theirs"},
            "$anon_distinct_id": "anon",
            "name": "Ada",
        },
        set_once={"both": "ours"},
    )
    assert event["$set"] == {"name": "Ada", "plan": "pro"}
    assert event["$set_once"] == {"first": 1, "both": "ours"}
    assert event["properties"]["$anon_distinct_id"] == "anon"


def test_unset() -> None:
    event = events.unset_properties(distinct_id="u", stamp=STAMP, names=("plan", "seats"))
    assert (event["event"], event["distinct_id"]) == ("$set", "u")
    assert event["properties"]["$unset"] == ["plan", "seats"]
    alone = events.unset_properties(distinct_id="u", stamp=STAMP, names="plan")
    assert alone["properties"]["$unset"] == ["plan"]
    for names in ([], [""], {"plan": None, 3: None}, [7]):
        with pytest.raises(events.EventError, match="names of person properties"):
            events.unset_properties(distinct_id="u", stamp=STAMP, names=names)  # type: ignore[arg-type]
