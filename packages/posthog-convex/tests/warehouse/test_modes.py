"""Hard, soft and history; what becomes of dropped tables; what a choice of tables leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable
from fake_convex import FakeConvex
from warehouse_worlds import QUIET, assert_true

from posthog_convex.warehouse.destinations.delta_folder import DeltaFolder
from posthog_convex.warehouse.destinations.duckdb_file import DuckDBFile
from posthog_convex.warehouse.destinations.published import Published
from posthog_convex.warehouse.plan.progress import Mode, OnDrop, Progress
from posthog_convex.warehouse.refusal import SyncRefused
from posthog_convex.warehouse.source.pager import Api
from posthog_convex.warehouse.sync.driver import Driver, Settings
from posthog_convex.warehouse.tables.selection import Selection

USERS = ("", "users")


def sync(fake: FakeConvex, path: Path, *, fresh: bool = False, **options: Any) -> Progress:
    destination = DuckDBFile(path)
    try:
        settings = Settings(deployment="https://fake.convex.cloud", **options)
        return Driver(fake, destination, settings, QUIET).run(fresh=fresh)
    finally:
        destination.close()


def ask(path: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture
def fake() -> FakeConvex:
    return FakeConvex()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


def test_soft_deletes_stay_with_what_they_held(fake: FakeConvex, path: Path) -> None:
    a, b = fake.commit((USERS, None, {"name": "Ann"}), (USERS, None, {"name": "Bob"}))
    sync(fake, path, mode=Mode.SOFT)
    fake.commit((USERS, a, None), (USERS, b, {"name": "Bert"}))
    sync(fake, path, mode=Mode.SOFT)
    rows = ask(path, "SELECT name, _deleted, _ts FROM users ORDER BY name")
    assert rows == [("Ann", True, fake.ts), ("Bert", False, fake.ts)]


def test_soft_deletes_outlive_a_replaced_table(fake: FakeConvex, path: Path) -> None:
    fake.commit((USERS, None, {"name": "Ann", "age": 7}))
    sync(fake, path, mode=Mode.SOFT)
    fake.replace(USERS, [{"name": "New", "age": 1.5}])
    sync(fake, path, mode=Mode.SOFT)
    rows = ask(path, "SELECT name, age, _deleted FROM users ORDER BY name")
    assert rows == [("Ann", 7.0, True), ("New", 1.5, False)]


def test_history_has_every_revision_and_its_end(fake: FakeConvex, path: Path) -> None:
    [a] = fake.commit((USERS, None, {"n": 1}))
    first = fake.ts
    sync(fake, path, mode=Mode.HISTORY)
    fake.commit((USERS, a, {"n": 2}))
    second = fake.ts
    fake.commit((USERS, a, None))
    third = fake.ts
    sync(fake, path, mode=Mode.HISTORY)
    rows = ask(path, "SELECT n, _deleted, _ts, _valid_to FROM users ORDER BY _ts")
    assert rows == [
        (1, False, first, second), (2, False, second, third), (None, True, third, None)
    ]  # fmt: skip


def test_history_goes_on_over_an_expired_cursor(fake: FakeConvex, path: Path) -> None:
    a, b = fake.commit((USERS, None, {"n": 1}), (USERS, None, {"n": 2}))
    sync(fake, path, mode=Mode.HISTORY)
    fake.commit((USERS, a, None), (USERS, b, {"n": 3}))
    fake.kept_from = fake.ts + 1
    fake.commit()
    fake.ts += 10
    sync(fake, path, mode=Mode.HISTORY)
    current = ask(path, "SELECT n FROM users WHERE _valid_to IS NULL AND NOT _deleted")
    assert current == [(3,)]
    assert ask(path, "SELECT count(*) FROM users") == [(4,)]


@pytest.mark.parametrize("ours", [False, True])
@pytest.mark.parametrize(
    ("on_drop", "left"),
    [(OnDrop.DROP, []), (OnDrop.KEEP, ["users"]), (OnDrop.ARCHIVE, ["users__dropped_"])],
)
def test_dropped_tables(
    fake: FakeConvex, path: Path, ours: bool, on_drop: OnDrop, left: list[str]
) -> None:
    fake.ours = ours
    fake.commit((USERS, None, {"n": 1}), (("", "other"), None, {}))
    sync(fake, path, on_drop=on_drop)
    fake.drop(USERS)
    sync(fake, path, on_drop=on_drop)
    found = [name for (name,) in ask(path, "SHOW TABLES") if name.startswith("users")]
    assert [name.rstrip("0123456789") for name in found] == left
    if found:
        assert ask(path, f"SELECT n FROM {found[0]}") == [(1,)]
    fake.commit((USERS, None, {"n": 2}))
    sync(fake, path, on_drop=on_drop)
    assert ask(path, "SELECT n FROM users") == [(2,)]
    rest = [name for (name,) in ask(path, "SHOW TABLES") if "__dropped_" in name]
    assert len(rest) == (on_drop is OnDrop.ARCHIVE)


def test_an_expired_cursor_is_read_again_beside_what_is_published(
    fake: FakeConvex, path: Path
) -> None:
    fake.commit(*((USERS, None, {"n": n}) for n in range(30)))
    sync(fake, path)
    fake.commit(*((USERS, id_, None) for id_ in list(fake.tablets[USERS].documents)[:10]))
    fake.kept_from = fake.ts
    progress = sync(fake, path, max_pages=2)
    assert progress.shadow
    assert ask(path, "SELECT count(*) FROM users") == [(30,)]
    progress = sync(fake, path)
    assert (progress.shadow, progress.restarts) == (False, 1)
    assert ask(path, "SELECT count(*) FROM users") == [(20,)]
    assert_true(fake, path)


def test_text_becomes_json_in_every_row_of_a_delta_table(fake: FakeConvex, tmp_path: Path) -> None:
    settings = Settings(deployment="https://fake.convex.cloud")
    for value in ("NaN", 7):
        fake.commit((USERS, None, {"any": value}))
        destination = Published(DeltaFolder(str(tmp_path / "delta")), tmp_path / "work")
        Driver(fake, destination, settings, QUIET).run()
        destination.close()
    rows = DeltaTable(str(tmp_path / "delta" / "users")).to_pyarrow_table().to_pylist()
    assert sorted(row["any"] for row in rows) == ['"NaN"', "7"]


@pytest.mark.parametrize("later", [{"n": None}, {}])
def test_a_column_of_a_delta_table_takes_nulls_later(
    fake: FakeConvex, tmp_path: Path, later: dict[str, Any]
) -> None:
    settings = Settings(deployment="https://fake.convex.cloud")
    for document in ({"n": 1, "s": "x"}, {"s": "y", **later}):
        fake.commit((USERS, None, document))
        destination = Published(DeltaFolder(str(tmp_path / "delta")), tmp_path / "work")
        Driver(fake, destination, settings, QUIET).run()
        destination.close()
    rows = DeltaTable(str(tmp_path / "delta" / "users")).to_pyarrow_table().to_pylist()
    assert sorted((row["s"], row["n"]) for row in rows) == [("x", 1), ("y", None)]


def test_fresh_finds_what_the_legacy_export_hides(fake: FakeConvex, path: Path) -> None:
    fake.commit((USERS, None, {"n": 1}))
    sync(fake, path, api=Api.LEGACY)
    fake.replace(USERS, [{"n": 2}])
    sync(fake, path, api=Api.LEGACY)
    assert ask(path, "SELECT n FROM users") == [(1,)], "nothing told of the import"
    sync(fake, path, api=Api.LEGACY, fresh=True)
    assert ask(path, "SELECT n FROM users") == [(2,)]


def test_a_choice_of_tables_and_columns(fake: FakeConvex, path: Path) -> None:
    fake.commit(
        (USERS, None, {"name": "Ann", "ssn": "1"}),
        (("", "logs"), None, {}),
        (("mail", "sent"), None, {"to": "a"}),
        (("mail", "drafts"), None, {}),
    )
    chosen = Selection(include=("users", "mail/*"), exclude=("mail/drafts",))
    for number, api in enumerate([Api.AUTO, Api.LEGACY]):
        other = path.with_name(f"{number}.duckdb")
        sync(fake, other, selection=chosen, api=api)
        names = {name for (name,) in ask(other, "SHOW TABLES")}
        assert names == {"_convex_sync", "users", "mail__sent"}
        without = Selection(**{**_fields(chosen), "exclude_columns": ("users.ssn",)})
        sync(fake, other, selection=without, api=api)
        columns = [row[0] for row in ask(other, "DESCRIBE users")]
        assert "ssn" not in columns
        assert "name" in columns


def test_another_choice_of_columns_is_published_though_nothing_was_committed(
    fake: FakeConvex, tmp_path: Path
) -> None:
    fake.commit((USERS, None, {"name": "Ann", "ssn": "1"}))
    uri = str(tmp_path / "delta")
    for hidden, left in [((), {"name", "ssn"}), (("users.ssn",), {"name"})]:
        destination = Published(DeltaFolder(uri), tmp_path / "work")
        settings = Settings(
            deployment="https://fake.convex.cloud", selection=Selection(exclude_columns=hidden)
        )
        Driver(fake, destination, settings, QUIET).run()
        destination.close()
        columns = DeltaTable(f"{uri}/users").to_pyarrow_table().column_names
        assert {name for name in columns if not name.startswith("_")} == left


def _fields(selection: Selection) -> dict[str, Any]:
    return {name: getattr(selection, name) for name in selection.__struct_fields__}


def test_a_destination_belongs_to_one_deployment_and_mode(fake: FakeConvex, path: Path) -> None:
    fake.commit((USERS, None, {}))
    sync(fake, path)
    with pytest.raises(SyncRefused, match="begun in the mode 'hard'"):
        sync(fake, path, mode=Mode.SOFT)
    destination = DuckDBFile(path)
    with pytest.raises(SyncRefused, match="holds the tables of https://fake"):
        Driver(fake, destination, Settings(deployment="https://x"), QUIET).run()
    destination.close()


def test_two_syncs_of_one_destination_do_not_mix(fake: FakeConvex, path: Path) -> None:
    fake.commit((USERS, None, {"n": 1}))
    settings = Settings(deployment="https://fake.convex.cloud")
    files = [DuckDBFile(path), DuckDBFile(path)]
    first, second = (Driver(fake, file, settings, QUIET) for file in files)
    first.run()
    second.run()
    fake.commit((USERS, None, {"n": 2}))
    with pytest.raises(SyncRefused, match="Another sync has written"):
        first.run()
    files[0].close()
    assert_true(fake, path)
    first.run()  # it looks again, and takes over
    files[0].close()
    progress = assert_true(fake, path)
    assert progress is not None
    assert progress.snapshot_ts == fake.ts
