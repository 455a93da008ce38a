"""Destinations that cannot be written: a sentence, what was there stays, the next run goes on."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from fake_convex import KEY, FakeConvex
from test_refusals import command, init, served
from warehouse_worlds import QUIET

from posthog_convex.warehouse.destinations import duckdb_file
from posthog_convex.warehouse.destinations.duckdb_file import DuckDBFile
from posthog_convex.warehouse.destinations.faults import not_published, refusal_of
from posthog_convex.warehouse.destinations.published import Published
from posthog_convex.warehouse.plan.progress import Progress
from posthog_convex.warehouse.refusal import SyncRefused
from posthog_convex.warehouse.sync import opening, watch
from posthog_convex.warehouse.sync.driver import Driver, Settings

USERS = ("", "users")
LIMIT_BYTES = 400 * 1024


@pytest.fixture
def fake() -> FakeConvex:
    fake = FakeConvex(page_rows=1_000)
    fake.commit((USERS, None, {"text": "first"}))
    return fake


def limited(folder: Path, *arguments: str) -> tuple[int, str]:
    """A command in a process whose files may not grow beyond a limit, as on a disk that is full."""
    config = ["--config", str(folder / "sync.toml")]
    done = subprocess.run(
        [Path(sys.executable).with_name("posthog-convex"), "sync", *arguments, *config],
        env={**os.environ, "CONVEX_DEPLOY_KEY": KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, LIMIT_BYTES)),
    )
    assert KEY not in done.stdout
    return done.returncode, done.stdout


@pytest.mark.parametrize("kind", ["duckdb", "parquet"])
def test_a_full_disk(fake: FakeConvex, tmp_path: Path, kind: str) -> None:
    with served(fake) as url:
        init(tmp_path, url, to=kind)
        assert command(tmp_path, "run")[0] == 0
        fake.commit(*((USERS, None, {"text": os.urandom(400).hex()}) for _ in range(900)))
        status, said = limited(tmp_path, "run")
        assert status == 1
        assert "There is no room to write" in said
        assert "Make room there, then run it again." in said
        assert "Traceback" not in said
        status, said = limited(tmp_path, "status")
        assert (status, "1  users" in said) == (0, True), said
        assert command(tmp_path, "run")[0] == 0
    assert "901  users" in command(tmp_path, "status")[1]


@contextmanager
def open_elsewhere(path: Path, *, read_only: bool = False) -> Iterator[int]:
    """Another process, with this id, has the file open until the block ends."""
    script = (
        f"import duckdb\nit = duckdb.connect({str(path)!r}, read_only={read_only})\n"
        "print('open', flush=True)\ninput()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        try:
            yield process.pid
        finally:
            process.communicate("\n")


def test_a_file_that_somebody_else_has_open(
    fake: FakeConvex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_file, "PATIENCE_S", 0.0)
    with served(fake) as url:
        init(tmp_path, url)
        with open_elsewhere(tmp_path / "w.duckdb") as process:
            for verb in ("run", "status"):
                status, said = command(tmp_path, verb)
                assert (status, "is open in another process (" in said) == (1, True), said
                assert f", process {process}). The tables are" in said, said
        assert command(tmp_path, "run")[0] == 0
        with open_elsewhere(tmp_path / "w.duckdb", read_only=True):
            assert command(tmp_path, "run")[0] == 1
            status, said = command(tmp_path, "status")
            assert (status, "1  users" in said) == (0, True), said


def a_text(path: Path) -> None:
    path.write_text("something else")


def a_folder(path: Path) -> None:
    path.mkdir()


def a_database_of_somebody(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE users (theirs INTEGER)")


def a_newer_sync(path: Path) -> None:
    _told(path, json.dumps({"layout": 2, "tables": "elsewhere"}))


def a_sync_that_cannot_be_read(path: Path) -> None:
    _told(path, json.dumps({"layout": 1}))


def _told(path: Path, record: str) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE SCHEMA convex_sync")
        connection.execute("CREATE TABLE convex_sync.progress (record VARCHAR)")
        connection.execute("INSERT INTO convex_sync.progress VALUES (?)", [record])


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (a_text, "w.duckdb is there already, and is no DuckDB file. It was left as it is."),
        (a_folder, "Give another path in the configuration"),
        (a_database_of_somebody, "Give another path in the configuration"),
        (a_newer_sync, "A newer version of posthog-convex has written this destination. It was"),
        (a_sync_that_cannot_be_read, "Move the destination away to begin anew"),
    ],
)
def test_what_is_no_destination_stays_as_it_is(
    fake: FakeConvex, tmp_path: Path, made: Callable[[Path], None], sentence: str
) -> None:
    path = tmp_path / "w.duckdb"
    made(path)
    with served(fake) as url:
        init(tmp_path, url)
        status, said = command(tmp_path, "run")
    assert (status, sentence in said) == (1, True), said
    if made is a_database_of_somebody:
        with duckdb.connect(str(path), read_only=True) as connection:
            assert connection.execute("SELECT * FROM users").fetchall() == []
    else:
        assert command(tmp_path, "status")[0] == 1


def test_a_folder_that_a_newer_version_has_published(fake: FakeConvex, tmp_path: Path) -> None:
    with served(fake) as url:
        init(tmp_path, url, to="parquet")
        assert command(tmp_path, "run")[0] == 0
        manifest = tmp_path / "w" / "current" / "manifest.json"
        manifest.write_text('{"layout": 2}')
        fake.commit((USERS, None, {"text": "second"}))
        status, said = command(tmp_path, "run")
    assert (status, "A newer version of posthog-convex" in said) == (1, True), said


def test_what_is_not_installed(
    fake: FakeConvex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "find_spec", lambda name: None if name == "deltalake" else name)
    for kind, expected in (("delta", 1), ("duckdb", 0)):
        with served(fake) as url:
            (tmp_path / "sync.toml").unlink(missing_ok=True)
            init(tmp_path, url, to=kind)
            status, said = command(tmp_path, "run")
        assert (status, "deltalake cannot be imported" in said) == (expected, bool(expected)), said


@pytest.mark.parametrize("kind", ["duckdb", "parquet", "delta"])
def test_a_path_below_a_file(fake: FakeConvex, tmp_path: Path, kind: str) -> None:
    (tmp_path / "w").write_text("a file")
    with served(fake) as url:
        init(tmp_path, url, to=kind)
        config = tmp_path / "sync.toml"
        config.write_text(config.read_text().replace('path = "w', 'path = "w/below'))
        status, said = command(tmp_path, "run")
    assert status == 1
    assert "Give another path in the configuration" in said


@pytest.mark.parametrize(
    ("error", "to_do"),
    [
        (PermissionError(13, "Permission denied"), "Let this user write there"),
        (duckdb.IOException('Cannot open "x": Read-only file system'), "Let this user write there"),
        (OSError(122, "Disk quota exceeded"), "Make room there"),
        (duckdb.Error("Corrupt database file: wrong checksum"), "move what is there away"),
    ],
)
def test_each_fault_has_its_own_way_out(error: Exception, to_do: str) -> None:
    assert to_do in refusal_of(Path("w.duckdb"), error).to_do


class Storm:
    """A publication that fails for a while."""

    def __init__(self) -> None:
        self.left = 2
        self.published: list[int] = []

    def publish(self, rows: DuckDBFile, progress: Progress, ts: int) -> None:
        if self.left:
            self.left -= 1
            raise not_published("The bucket", "the network is gone", "What was there stands")
        self.published.append(ts)

    def counts(self, rows: DuckDBFile) -> dict[str, int]:
        return rows.counts()


def test_a_watch_outlives_a_bucket_that_is_away(fake: FakeConvex, tmp_path: Path) -> None:
    storm, told = Storm(), []
    settings = Settings(deployment="https://fake.convex.cloud")
    destination = Published(storm, tmp_path)
    driver = Driver(fake, destination, settings, QUIET)

    def trouble(refused: SyncRefused) -> None:
        told.append(refused.code)
        with duckdb.connect(str(tmp_path / "rows.duckdb")):  # nothing is held open meanwhile
            pass

    rounds = watch.rounds(driver, poll_interval_s=1.0, pause=lambda s: None, trouble=trouble)
    progress = next(rounds)
    destination.close()
    assert told == ["not_published", "not_published"]
    assert storm.published == [progress.snapshot_ts] == [fake.ts]
