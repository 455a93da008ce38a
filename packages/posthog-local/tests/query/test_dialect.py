"""PostHog's SQL: what it becomes for DuckDB, and what is refused by name."""

from __future__ import annotations

import pytest

from posthog_local.query.dialect import translate
from posthog_local.query.refusal import QueryRefused


def sql(text: str, **values: object) -> str:
    return translate(text, values).sql


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("select properties.$browser from events", "properties ->> '$.\"$browser\"'"),
        ("select properties['a b'] from events", "properties ->> '$.\"a b\"'"),
        ("select properties.a.b from events", "properties ->> '$.a.b'"),
        ("select person.properties.email from events", "person_properties ->> '$.email'"),
        ("select person.id from events", '"person_id"'),
        ("select sum(properties.n) from events", "TRY_CAST(properties ->> '$.n' AS DOUBLE)"),
        ("select 1 from events where properties.n > 5", "AS DOUBLE) > 5"),
        ("select 1 from events where properties.ok = true", "AS BOOLEAN) = TRUE"),
        ("select 1 from events where properties.plan = 'pro'", "'$.plan') = 'pro'"),
        ("select uniq(person_id) from events", 'COUNT(DISTINCT "person_id")'),
        ("select toStartOfDay(timestamp) from events", "DATE_TRUNC('DAY'"),
        ("select multiIf(1 = 1, 1, 2) from events", "CASE WHEN 1 = 1 THEN 1 ELSE 2 END"),
        ("select toMonth(timestamp) from events", "EXTRACT(MONTH FROM"),
        ("select sumIf(toFloat(properties.n), 1 = 1) from events", "TRY_CAST"),
        ("select topK(3)(event) from events", "APPROX_TOP_K("),
        ("select event from events", "LIMIT 101"),
        ("select event from events limit 7 offset 2", "LIMIT 8 OFFSET 2"),
        ("select event from events limit 9999999", "LIMIT 50001"),
        ("select '{not a placeholder}' from events", "'{not a placeholder}'"),
    ],
)
def test_translations(text: str, part: str) -> None:
    assert part in sql(text)


def test_placeholders_are_literals() -> None:
    assert "'it''s; DROP'" in sql("select 1 from events where event = {name}", name="it's; DROP")
    with pytest.raises(QueryRefused, match="no value for the placeholder"):
        sql("select {gone}")


def test_the_person_is_joined_only_when_asked() -> None:
    assert "events_with_person" not in sql("select count() from events")
    assert "events_of_person" in sql("select uniq(person_id) from events")
    assert "events_with_person" in sql("select person_id, person.properties.plan from events")
    assert "events_with_person" in sql("select * from events")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("drop table events", "one SELECT"),
        ("select 1; select 2", "one SELECT"),
        ("copied", "one SELECT"),
        ("select * from read_csv('/etc/passwd')", "is no table"),
        ("select * from '/etc/passwd'", "no table"),
        ("select * from event_rows", "no table 'event_rows'"),
        ("select * from system.tables", "is no table"),
        ("select getenv('HOME')", "the function getenv"),
        ("select toString(getenv('HOME'))", "the function getenv"),
        ("select uniq(getenv('HOME'))", "the function getenv"),
        ("select multiIf(true, getenv('HOME'), '')", "the function getenv"),
        (
            "select toMnth(timestamp) from events",
            r"toMnth is not supported; did you mean toMonth\?",
        ),
        ("select toString()", "toString takes 1 argument here, not 0"),
        (
            "select 1 from evnts",
            r"no table 'evnts'; did you mean events\? there are events",
        ),
        ("select session.$session_duration from events", "join it: events e JOIN sessions s"),
        ("select (", "no query that we understand"),
        ("select event from events limit 1 + 1", "LIMIT takes a whole number"),
        ("select 1 -- " + "x" * 100_000, "longer than"),
    ],
)
def test_refusals_say_why(text: str, said: str) -> None:
    with pytest.raises(QueryRefused, match=said):
        sql(text)
