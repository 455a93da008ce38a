"""Parquet and Delta in an S3-compatible bucket: whole objects, ended by the next run, no keys."""

from __future__ import annotations

import io
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bucket_server
import msgspec
import pyarrow.parquet as pq
import pytest
from bucket_server import BUCKET, BucketServer
from fake_convex import FakeConvex, State
from warehouse_worlds import Fuse, Killed, assert_same, documents, ran, work

from posthog_convex.warehouse.destinations.bucket import Bucket
from posthog_convex.warehouse.destinations.delta_folder import DeltaFolder
from posthog_convex.warehouse.destinations.destination import Notice
from posthog_convex.warehouse.destinations.manifest import Manifest
from posthog_convex.warehouse.destinations.parquet_bucket import ParquetBucket
from posthog_convex.warehouse.destinations.published import Published
from posthog_convex.warehouse.plan.progress import OnDrop
from posthog_convex.warehouse.refusal import SyncRefused
from posthog_convex.warehouse.sync import config, opening
from posthog_convex.warehouse.sync.driver import Settings

USERS = ("", "users")
URI = f"s3://{BUCKET}/some where/convex"


@pytest.fixture(scope="module")
def store() -> Iterator[BucketServer]:
    with bucket_server.running() as store:
        yield store


@pytest.fixture
def server(store: BucketServer, monkeypatch: pytest.MonkeyPatch) -> BucketServer:
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    store.refuse_changes(0, times=0)
    for name in Bucket(URI).names():
        Bucket(URI).delete(name)
    return store


def sync(fake: FakeConvex, folder: Path, notice: Notice = lambda step: None) -> bool:
    settings = Settings(deployment="https://fake.convex.cloud", on_drop=OnDrop.DROP)
    work = folder / "work"
    destination = Published(ParquetBucket(URI, work, notice=notice), work, notice=notice)
    return ran(fake, destination, settings, notice)


def published() -> Manifest | None:
    """The manifest, once every file in the bucket was read: all are whole."""
    bucket = Bucket(f"{URI}/current")
    told = bucket.get("manifest.json")
    for name in bucket.names():
        if name.endswith(".parquet"):
            read(bucket, name)
    return None if told is None else msgspec.json.decode(told, type=Manifest)


def read(bucket: Bucket, name: str) -> list[dict[str, Any]]:
    content = bucket.get(name)
    assert content is not None
    return pq.read_table(io.BytesIO(content)).to_pylist()


def held(manifest: Manifest) -> State:
    """What the bucket holds when nothing is on its way."""
    bucket = Bucket(f"{URI}/current")
    files = {name for name in bucket.names() if name.endswith(".parquet")}
    assert files == {f"{table.name}/data.parquet" for table in manifest.tables}
    return {
        (table.component, table.table): documents(
            read(bucket, f"{table.name}/data.parquet"), table.columns
        )
        for table in manifest.tables
    }


def test_a_bucket_is_the_deployment_after_each_run(server: BucketServer, tmp_path: Path) -> None:
    rng = random.Random(5)
    fake = FakeConvex(seed=5)
    for _ in range(4):
        for _ in range(rng.randrange(1, 6)):
            work(fake, rng)
        assert sync(fake, tmp_path)
        manifest = published()
        assert manifest is not None
        assert_same(held(manifest), fake.history[max(fake.history)])


def test_killed_at_every_step(server: BucketServer, tmp_path: Path) -> None:
    rng = random.Random(6)
    fake = FakeConvex(seed=6, page_rows=8)
    for _ in range(5):
        work(fake, rng)
    steps = 1
    while not sync(fake, tmp_path, Fuse(steps)):
        published()
        steps += 1
        if rng.random() < 0.3:
            work(fake, rng)
    manifest = published()
    assert manifest is not None
    then = max(ts for ts in fake.history if ts <= manifest.snapshot_ts)
    assert_same(held(manifest), fake.history[then])
    assert steps > 10


def test_a_reader_can_tell_tables_of_one_snapshot_from_others(
    server: BucketServer, tmp_path: Path
) -> None:
    fake = FakeConvex()
    refs = [("", name) for name in ("a", "b", "c")]
    fake.commit(*((ref, None, {"n": 1}) for ref in refs))
    assert sync(fake, tmp_path)
    fake.commit(*((ref, None, {"n": 2}) for ref in refs[:2]))

    def gone_with_the_first(step: str) -> None:
        if step == "table":
            raise Killed(step)

    assert not sync(fake, tmp_path, gone_with_the_first)
    assert as_the_manifest_says() == {"a": False, "b": True, "c": True}
    assert sync(fake, tmp_path)
    assert as_the_manifest_says() == {"a": True, "b": True, "c": True}


def as_the_manifest_says() -> dict[str, bool]:
    """Whether each table is of the snapshot that the manifest tells of, by its own metadata."""
    bucket = Bucket(f"{URI}/current")
    told = bucket.get("manifest.json")
    assert told is not None
    found = {}
    for table in json.loads(told)["tables"]:
        content = bucket.get(f"{table['name']}/data.parquet")
        assert content is not None
        metadata = pq.ParquetFile(io.BytesIO(content)).metadata.metadata
        found[table["name"]] = int(metadata[b"convex_changed_ts"]) == table["changed_ts"]
    return found


def test_an_upload_that_breaks_leaves_the_old_object(server: BucketServer, tmp_path: Path) -> None:
    bucket = Bucket(URI)
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"old")
    new.write_bytes(os.urandom(23 * 1024 * 1024))
    bucket.put("thing", old)
    refused = 0
    for change in range(20):  # the beginning, each part, the end
        server.refuse_changes(change, times=1)
        try:
            bucket.put("thing", new)
            break
        except OSError:
            refused += 1
        assert bucket.get("thing") == b"old"
    assert refused >= 4
    assert bucket.get("thing") == new.read_bytes()


def test_a_key_that_may_not_write_is_a_sentence_and_the_next_run_publishes(
    server: BucketServer, tmp_path: Path
) -> None:
    fake = FakeConvex()
    fake.commit((USERS, None, {"n": 1}), (("", "other"), None, {}))
    assert sync(fake, tmp_path)
    fake.commit((USERS, None, {"n": 2}))
    fake.drop(("", "other"))
    server.refuse_changes(0)
    with pytest.raises(SyncRefused, match=r"cannot be written: .*ACCESS_DENIED") as refused:
        sync(fake, tmp_path)
    assert refused.value.code == "not_published"
    before = published()
    assert before is not None
    assert before.counts() == {"users": 1, "other": 1}
    server.refuse_changes(0, times=0)
    assert sync(fake, tmp_path)
    after = published()
    assert after is not None
    assert_same(held(after), fake.now())


def test_a_lost_work_folder_publishes_everything_again(
    server: BucketServer, tmp_path: Path
) -> None:
    fake = FakeConvex()
    fake.commit((USERS, None, {"n": 1}))
    assert sync(fake, tmp_path / "one")
    told: list[str] = []
    assert sync(fake, tmp_path / "one", told.append)
    assert "table" not in told, "nothing has changed"
    assert sync(fake, tmp_path / "two", told.append)
    assert "table" in told
    manifest = published()
    assert manifest is not None
    assert_same(held(manifest), fake.now())


def test_delta_tables_live_in_a_bucket(server: BucketServer, tmp_path: Path) -> None:
    from deltalake import DeltaTable

    fake = FakeConvex()
    settings = Settings(deployment="https://fake.convex.cloud")
    [first] = fake.commit((USERS, None, {"n": 1}))
    assert ran(fake, Published(DeltaFolder(URI), tmp_path / "work"), settings)
    fake.commit((USERS, first, None), (USERS, None, {"n": 2}), (USERS, None, {"n": 3}))
    assert ran(fake, Published(DeltaFolder(URI), tmp_path / "work"), settings)
    table = DeltaTable(f"{URI}/users")
    assert sorted(row["n"] for row in table.to_pyarrow_table().to_pylist()) == [2, 3]
    index = DeltaTable(f"{URI}/_convex_sync").to_pyarrow_table().to_pylist()
    assert [(row["name"], row["version"]) for row in index] == [("users", table.version())]
    fake.commit((USERS, None, {"n": 4}))
    server.refuse_changes(0)
    with pytest.raises(SyncRefused, match="cannot be written"):
        ran(fake, Published(DeltaFolder(URI), tmp_path / "work"), settings)


@pytest.mark.parametrize("kind", ["parquet", "delta"])
@pytest.mark.parametrize("wrong", ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"])
def test_no_credential_is_shown_or_kept(
    server: BucketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, wrong: str
) -> None:
    monkeypatch.setenv(wrong, "WRONGCANARYCREDENTIAL")
    (tmp_path / "sync.toml").write_text(
        f'[deployment]\nurl = "https://fake.convex.cloud"\n'
        f'[destination]\nkind = "{kind}"\npath = "{URI}"\n'
    )
    part = config.read(tmp_path / "sync.toml").destination
    fake = FakeConvex()
    fake.commit((USERS, None, {"n": 1}))
    settings = Settings(deployment="https://fake.convex.cloud")
    with pytest.raises(SyncRefused, match="cannot be written") as refused:
        ran(fake, opening.destination_of(part), settings)
    canaries = {"WRONGCANARYCREDENTIAL", bucket_server.KEY_ID, bucket_server.SECRET}
    shown = [str(refused.value).encode()]
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(kept) >= 2
    for text in (*shown, *kept):
        assert not [canary for canary in canaries if canary.encode() in text]


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("duckdb", "s3://bucket/x"),
        ("parquet", "gs://bucket/x"),
        ("parquet", "s3://AKID:canary@bucket/x"),
        ("delta", "s3://bucket/x?access_key=canary"),
    ],
)
def test_an_address_is_refused_without_repeating_credentials(
    tmp_path: Path, kind: str, path: str
) -> None:
    (tmp_path / "sync.toml").write_text(
        f'[deployment]\nurl = "https://x"\n[destination]\nkind = "{kind}"\npath = "{path}"\n'
    )
    with pytest.raises(SyncRefused) as refused:
        config.read(tmp_path / "sync.toml")
    assert refused.value.code == "bad_config"
    assert "canary" not in str(refused.value)
