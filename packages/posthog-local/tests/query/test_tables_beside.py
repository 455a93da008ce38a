"""Tables beside events: found in a folder, joined with events, always the newest files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from posthog_local.query.dialect import translate
from posthog_local.query.refusal import QueryRefused
from posthog_local.query.tablefolder import BesideTables, TableFolder
from posthog_local.testing import PostHogLocal, running


def write(place: Path, table: str, select: str) -> None:
    import duckdb

    (place / table).mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        file = str(place / table / "data.parquet").replace("'", "''")
        connection.execute(f"COPY ({select}) TO '{file}' (FORMAT parquet)")


def publish(folder: Path, number: int) -> None:
    """As a sync does: the link is replaced in one step."""
    new = folder / "current.new"
    new.symlink_to(Path("snapshots") / str(number))
    new.replace(folder / "current")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that holds two tables, one of a component, and one with a name of ours."""
    folder = tmp_path / "it's tables"
    place = folder / "snapshots" / "1"
    ann = "'u1' AS _id, 'Ann' AS name, 'pro' AS plan, 3::BIGINT AS n"
    bob = "'u2', 'Bob', 'free', 9007199254740993"
    write(place, "users", f"SELECT {ann} UNION ALL SELECT {bob}")
    order = "'u1' AS user_id, '{\"city\":\"Bonn\"}' AS address, '\\xAA\\x01'::BLOB AS raw"
    when = "TIMESTAMPTZ '2026-01-02 03:04:05Z' AS _creationTime"
    write(place, "waitlist__orders", f"SELECT {order}, {when}")
    write(place, "events", "SELECT 'mine' AS _id")
    write(place, "not a name", "SELECT 1 AS a")
    (place / "empty").mkdir()
    publish(folder, 1)
    return folder


@pytest.fixture
def local(folder: Path) -> Iterator[PostHogLocal]:
    with running(arguments=["--warehouse", str(folder)]) as local:
        for person in ("u1", "u1", "u2"):
            body = {"api_key": "phc_a", "event": "paid", "distinct_id": person}
            urlopen(local.url + "/e/", json.dumps(body).encode()).close()
        yield local


def ask(local: PostHogLocal, text: str) -> tuple[int, Any]:
    request = Request(
        local.url + "/api/projects/@current/query/",
        json.dumps({"query": {"kind": "HogQLQuery", "query": text}}).encode(),
        {"authorization": f"Bearer {local.personal_api_key}"},
    )
    try:
        with urlopen(request) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def rows(local: PostHogLocal, text: str) -> list[list[Any]]:
    status, answer = ask(local, text)
    assert status == 200, answer
    return list(answer["results"])


JOIN = (
    "SELECT u.name, u.plan, count() AS paid FROM events AS e JOIN users AS u"
    " ON e.distinct_id = u._id WHERE e.event = 'paid' GROUP BY u.name, u.plan ORDER BY paid DESC"
)


def test_a_table_joins_events(local: PostHogLocal) -> None:
    assert rows(local, JOIN) == [["Ann", "pro", 2], ["Bob", "free", 1]]
    plain = "select users.name from events join users on events.distinct_id = users._id order by 1"
    assert rows(local, plain) == [["Ann"], ["Ann"], ["Bob"]]
    assert rows(local, "select n from users where name = 'Bob'") == [[2**53 + 1]]
    within = "select count() from events where distinct_id in (select _id from users)"
    assert rows(local, within) == [[3]]
    assert rows(local, "with u as (select name from users) select count() from u") == [[2]]


def test_types_come_as_json_knows_them(local: PostHogLocal) -> None:
    columns = "user_id, JSONExtractString(address, 'city'), raw, _creationTime"
    text = f"select {columns} from waitlist__orders"
    assert rows(local, text) == [["u1", "Bonn", "qgE=", "2026-01-02T03:04:05.000000Z"]]
    _, answer = ask(local, "select * from Waitlist__Orders")
    assert [kind for _, kind in answer["types"]][-1] == "DateTime64(6, 'UTC')"


def test_a_table_with_a_name_of_ours_has_a_prefix(local: PostHogLocal) -> None:
    assert rows(local, "select count() from events") == [[3]]
    assert rows(local, "select _id from warehouse.events") == [["mine"]]
    assert rows(local, "select warehouse.users.name from warehouse.users order by 1 limit 1") == [
        ["Ann"]
    ]


def test_the_newest_files_are_read_and_all_of_one_moment(local: PostHogLocal, folder: Path) -> None:
    assert rows(local, "select count() from users") == [[2]]
    write(folder / "snapshots" / "2", "users", "SELECT 'u1' AS _id, 'Anna' AS name, true AS vip")
    assert rows(local, "select count() from users") == [[2]], "it is not published yet"
    publish(folder, 2)
    assert rows(local, "select name, vip from users") == [["Anna", True]]
    status, answer = ask(local, "select 1 from waitlist__orders")
    assert status == 400
    assert "there is no table 'waitlist__orders'" in answer["detail"]


def test_a_folder_without_snapshots_and_one_that_is_not_there_yet(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    with running(arguments=["--warehouse", str(folder)]) as local:
        status, answer = ask(local, "select 1 from users")
        assert (status, answer["detail"].endswith("sessions, logs")) == (400, True)
        write(folder, "users", "SELECT 1 AS one")
        assert rows(local, "select one from users") == [[1]]
        write(folder, "users", "SELECT 2 AS one")
        assert rows(local, "select one from users") == [[2]]


def test_nothing_else_is_reached(local: PostHogLocal, folder: Path) -> None:
    secret = folder.parent / "secret"
    write(secret, "keys", "SELECT 'canary' AS key")
    for text in (
        f"select * from read_parquet('{secret}/keys/data.parquet')",
        f"select * from '{secret}/keys/data.parquet'",
        "select * from secret.keys",
        "select * from a.warehouse.users",
        "select * from warehouse.persons",
    ):
        status, answer = ask(local, text)
        assert status == 400, text
        assert "canary" not in json.dumps(answer)


def test_a_damaged_file_is_a_sentence(local: PostHogLocal, folder: Path) -> None:
    (folder / "snapshots" / "1" / "users" / "data.parquet").write_bytes(b"no parquet")
    status, answer = ask(local, "select 1 from users")
    assert status == 400
    assert answer["detail"]
    assert rows(local, "select count() from events") == [[3]]


def test_the_console_names_the_tables_and_a_chart_of_them_is_saved(local: PostHogLocal) -> None:
    question = urlencode(
        {"q": JOIN.replace("u.plan, ", "").replace(", u.plan", ""), "show": "bars"}
    )
    with urlopen(f"{local.url}/sql?{question}") as answer:
        page = answer.read().decode()
    assert "<code>waitlist__orders</code>" in page
    assert "<svg" in page
    assert "Not answered" not in page
    form = urlencode({"name": "Paid by user", "address": f"/sql?{question}"}).encode()
    urlopen(Request(f"{local.url}/saved/save", form)).close()
    with urlopen(f"{local.url}/saved") as answer:
        assert "Paid by user" in answer.read().decode()


def test_a_delta_table_is_not_taken_for_its_files(folder: Path) -> None:
    (folder / "snapshots" / "1" / "users" / "_delta_log").mkdir()
    found = TableFolder(folder).look()
    assert found.names == ["events", "waitlist__orders"]
    with pytest.raises(QueryRefused, match="users is a Delta table"):
        translate("select 1 from users", beside=found)


def test_names_of_folders_are_names_of_tables(folder: Path) -> None:
    found = TableFolder(folder).look()
    assert found.names == ["events", "users", "waitlist__orders"]
    assert found.place == (folder / "snapshots" / "1").resolve()
    assert TableFolder(folder / "nothing").look() == BesideTables()


def test_an_unknown_table_is_refused_with_those_that_are_there(folder: Path) -> None:
    found = TableFolder(folder).look()
    with pytest.raises(
        QueryRefused,
        match=r"no table 'user'; did you mean users\? there are events.*warehouse\.events, u",
    ):
        translate("select 1 from user", beside=found)
