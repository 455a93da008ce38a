"""PostHog's SQL: what it becomes for DuckDB, and what is refused by name."""

from __future__ import annotations

from datetime import datetime

import pytest

from posthog_local.query.dialect import aggregates, expression, translate
from posthog_local.query.filters import Condition
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


def test_what_an_event_leads_to_is_joined() -> None:
    session = sql("select session.$entry_current_url from events")
    assert 'session_of."session__session_id" = whole."$session_id"' in session
    group = sql("select group_1.properties.name, e.group_0.key from events as e")
    assert "index = 1" in group
    assert "index = 0" in group
    assert "'$.name'" in group
    assert "session__" not in sql("select session.session_id from sessions as session")
    assert '"person_id"' in sql("select pdi.person_id from events")


def test_filters_hold_for_the_events_of_their_select() -> None:
    held = Condition("json_extract_string(properties, ?) = ? AND timestamp < ?",
                     ("/it's", "a?b", datetime(2026, 1, 1)))  # fmt: skip
    text = translate("select count() from events where {filters}", filtered=held).sql
    assert "json_extract_string(properties, '/it''s') = 'a?b'" in text
    assert "timestamp < TIMESTAMP '2026-01-01 00:00:00'" in text
    joined = "select 1 from events e join persons p on p.id = e.person_id where {filters}"
    assert "IN (SELECT uuid FROM events WHERE" in translate(joined, filtered=held).sql
    assert "WHERE (true)" in sql("select count() from events where {filters}")
    person = Condition("person_properties IS NOT NULL", (), True)
    assert "events_with_person" in translate(
        "select count() from events where {filters}", filtered=person
    ).sql  # fmt: skip


def test_a_condition_over_one_event() -> None:
    found = expression("properties.total > 5")
    assert (found.sql, found.values, found.person) == (
        "(TRY_CAST(properties ->> '$.total' AS DOUBLE) > 5)", (), False)  # fmt: skip
    assert expression("person.properties.plan = 'pro'").person
    for bad in ("1) FROM persons WHERE (1", "1 AS one", "(SELECT 1)", "session.$x"):
        with pytest.raises(QueryRefused):
            expression(bad)
    with pytest.raises(QueryRefused, match=r"cannot ask for session\."):
        expression("session.$is_bounce")


def test_aggregates_are_told_from_values() -> None:
    for text in ("count()", "uniq(event)", "1 + sum(properties.a)", "median(properties.a)"):
        assert aggregates(text)
    for text in ("event", "toDate(timestamp)", "properties.count"):
        assert not aggregates(text)


def test_placeholders_are_literals() -> None:
    assert "IN ('a', 'b')" in sql("select 1 from events where event in {names}", names=["a", "b"])
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
        ("select session.$duration from events", r"no session\.\$duration"),
        ("select group_0.nam from events", "groups has index, key, properties, created_at"),
        ("select count() from events sample 0.1", "SAMPLE is not supported"),
        ("select event from events order by event with fill", "WITH FILL is not supported"),
        ("select 1 from numbers(1000000000)", "up to 1,000,000"),
        ("select 1 from numbers(now())", "takes whole numbers"),
        ("select x from events array join [1] as x, [2] as y", "one list with a name"),
        ("select 1 from persons where {filters}", "in the WHERE of a SELECT FROM events"),
        ("select (", "no query that we understand"),
        ("select map('a') from events", "no query that we understand"),
        ("select CAST(event, 'Float4e) FROM ') from events", "cannot be translated"),
        ("select event from events limit 1 + 1", "LIMIT takes a whole number"),
        ("select 1 -- " + "x" * 100_000, "longer than"),
    ],
)
def test_refusals_say_why(text: str, said: str) -> None:
    with pytest.raises(QueryRefused, match=said):
        sql(text)
