"""What a refresh writes, and what makes a query run again."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import ANY

import pytest

from posthog_convex.component import refresh
from posthog_convex.component.compiled import CompiledFlags, Rows
from posthog_convex.component.functions.tables import FlagRow


def flag(key: str, **changes: Any) -> dict[str, Any]:
    return {"key": key, "active": True, "filters": {"groups": [{"properties": []}]}} | changes


def in_cohort(key: str) -> dict[str, Any]:
    member = {"type": "cohort", "key": "id", "value": 7, "operator": "in"}
    return flag(key, filters={"groups": [{"properties": [member]}]})


def depending(key: str, on: str) -> dict[str, Any]:
    needs = {
        "type": "flag",
        "key": on,
        "operator": "flag_evaluates_to",
        "value": True,
        "dependency_chain": ["g"],
    }
    return flag(key, filters={"groups": [{"properties": [needs]}]})


def answer(*flags: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"flags": list(flags), **more}


async def state(app: Any, key: str, **arguments: Any) -> Any:
    found = await app.query(
        "shop:evaluation", {"arguments": {"key": key, "distinctId": "u", **arguments}}
    )
    return found["state"]


def test_states_of_an_evaluation(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        assert await state(app, "f") == "no_key"
        await app.set_env(POSTHOG_PERSONAL_API_KEY="phx_1")
        assert await state(app, "f") == "not_loaded"
        await app.store(
            answer(flag("f"), flag("g", active=False), flag("h", filters={"groups": 1}))
        )
        assert await state(app, "f") == "match"
        assert await state(app, "g") == "off"
        assert await state(app, "h") == "no_verdict"
        assert await state(app, "x") == "unknown"
        await app.set_env(POSTHOG_PERSONAL_API_KEY=None)
        assert await state(app, "f") == "match"

    deployed(scenario)


def test_the_whole_answer_of_an_evaluation(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        payloads = {"true": '{"$color": "red"}'}
        filters = {
            "groups": [{"properties": [{"key": "$plan", "value": "pro"}]}],
            "payloads": payloads,
        }
        await app.store(answer(flag("f", filters=filters, id=12, version=3)))
        ask = {"key": "f", "distinctId": "u", "personProperties": '{"$plan": "pro"}'}
        assert await app.query("shop:evaluation", {"arguments": ask}) == {
            "key": "f",
            "state": "match",
            "value": True,
            "payload": '{"$color": "red"}',
            "reason": None,
            "detail": "",
            "hash": ANY,
            "id": 12.0,
            "version": 3.0,
        }
        ask["personProperties"] = "{}"
        found = await app.query("shop:evaluation", {"arguments": ask})
        assert (found["state"], found["value"]) == ("no_verdict", None)
        assert (found["reason"], found["detail"]) == (
            "missing_context",
            "property '$plan' was not passed",
        )

    deployed(scenario)


def test_a_refresh_writes_what_changed_and_nothing_else(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        assert (await app.lane_query("flags:stored"))["etag"] is None
        first = await app.store(answer(flag("f"), flag("g")), etag="one", at=1.0)
        assert first == {"written": 2, "deleted": 0, "more": False}
        assert (await app.lane_query("flags:stored"))["etag"] == "one"
        before = app.visible_ts
        same = await app.store(answer(flag("f"), flag("g")), etag="one", at=2.0)
        assert same == {"written": 0, "deleted": 0, "more": False}
        assert app.visible_ts == before, "an answer with nothing new was written"
        await app.store(answer(flag("f"), flag("g")), etag="two", at=3.0)
        assert (await app.lane_query("flags:stored"))["etag"] == "two"
        changed = await app.store(answer(flag("g", active=False), flag("h")), etag=None)
        assert changed == {"written": 2, "deleted": 1, "more": False}
        assert (await app.lane_query("flags:stored"))["etag"] is None
        assert [await state(app, key) for key in "fgh"] == ["unknown", "off", "match"]

    deployed(scenario)


def test_what_is_no_answer_changes_nothing(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        await app.store(answer(flag("f")), etag="one")
        for bad in ('{"detail": "quota"}', "<html>", '{"flags": [{"no": "key"}]}'):
            with pytest.raises(Exception, match="no flag definitions"):
                await app.store(bad, etag="two")
        assert (await app.lane_query("flags:stored"))["etag"] == "one"
        assert await state(app, "f") == "match"

    deployed(scenario)


def test_a_query_runs_again_only_for_the_flags_that_it_read(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        cohorts = {"7": {"type": "AND", "values": []}, "8": {"type": "AND", "values": []}}
        flags = [in_cohort("f"), depending("d", "g"), flag("g"), flag("other")]
        await app.store(answer(*flags, cohorts=cohorts), at=0.0)
        settles = {
            key: app.watch("shop:flag", {"key": key, "options": {"distinct_id": "u"}})
            for key in ("f", "d", "new")
        }
        last = {key: await settle() for key, settle in settles.items()}

        async def ran_again() -> set[str]:
            now = {key: await settle() for key, settle in settles.items()}
            again = {key for key in now if now[key] is not last[key]}
            last.update(now)
            return again

        flags[3] = flag("other", active=False)
        cohorts["8"] = {"type": "OR", "values": []}
        await app.store(answer(*flags, cohorts=cohorts), at=1.0)
        assert await ran_again() == set()
        cohorts["7"] = {"type": "AND", "values": [{"key": "plan", "value": "x"}]}
        await app.store(answer(*flags, cohorts=cohorts), at=2.0)
        assert await ran_again() == {"f"}
        flags[2] = flag("g", active=False)
        await app.store(answer(*flags, cohorts=cohorts), at=3.0)
        assert await ran_again() == {"d"}
        await app.set_env(POSTHOG_PERSONAL_API_KEY="phx_1")
        assert await ran_again() == set()
        await app.store(answer(*flags, flag("new"), cohorts=cohorts), at=4.0)
        assert await ran_again() == {"new"}
        assert (await settles["new"]()).outcome.value == b"true"

    deployed(scenario)


def test_dependencies_by_id_and_what_is_not_there_yet(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        await app.store(answer(depending("d", "5"), flag("g", id=5)))
        assert await state(app, "d") == "match"
        await app.store(answer(depending("d", "later")))
        assert await state(app, "d") == "no_verdict"
        await app.store(answer(depending("d", "later"), flag("later")))
        assert await state(app, "d") == "match"

    deployed(scenario)


def test_more_than_a_transaction_holds_comes_in_parts(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        many = answer(*(flag(f"f{n}") for n in range(refresh.MAX_ROWS + 5)))
        first = await app.store(many, etag="one")
        assert first == {"written": refresh.MAX_ROWS, "deleted": 0, "more": True}
        assert (await app.lane_query("flags:stored"))["etag"] is None, "marked as loaded too early"
        assert await app.store(many, etag="one") == {"written": 5, "deleted": 0, "more": False}
        assert (await app.lane_query("flags:stored"))["etag"] == "one"
        assert await state(app, "f7") == "match"

    deployed(scenario)


def test_a_definition_too_large_for_a_document_has_no_verdict(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        large = flag("large", name="x" * refresh.MAX_DEFINITION_BYTES)
        await app.store(answer(large, flag("f")))
        assert await state(app, "large") == "no_verdict"
        assert await state(app, "f") == "match"

    deployed(scenario)


def test_only_an_event_gets_into_the_queue(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        for bad in ("{}", "no json", '{"uuid": 5}'):
            with pytest.raises(Exception, match="no event for PostHog"):
                await app.mutation("shop:enqueue", {"event": bad})
        assert app.events() == []

    deployed(scenario)


def row(key: str, hash_: str, active: bool) -> FlagRow:
    return FlagRow(
        key=key,
        hash=hash_,
        definition=json.dumps(flag(key, active=active)),
        matching_version=1,
        flags=[],
        cohorts=[],
        group_types=False,
    )


def test_compiled_flags_are_kept_by_content_and_bounded() -> None:
    compiled = CompiledFlags(bound=2)
    one = compiled.get(Rows("f", {"f": row("f", "1", True)}, {}))
    assert compiled.get(Rows("f", {"f": row("f", "1", True)}, {})) is one
    other = compiled.get(Rows("f", {"f": row("f", "2", False)}, {}))
    assert other.evaluate("u", {}, {}, {}, 0.0).value is False
    compiled.get(Rows("g", {"g": row("g", "1", True)}, {}))
    assert len(compiled) == 2
    assert compiled.get(Rows("f", {"f": row("f", "1", True)}, {})) is not one
