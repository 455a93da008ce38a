"""The store: once each, in groups, resolved at query time, and back after a restart."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import apsw
import pytest

from posthog_local.flags.definition import InvalidDefinition
from posthog_local.ingest.event import IncomingEvent
from posthog_local.persons.ids import person_uuid
from posthog_local.store import schema, shelves
from posthog_local.store.folder import Folder, FolderError
from posthog_local.store.reader import EventFilter
from posthog_local.store.shelves.warnings import StoredWarning
from posthog_local.store.store import Store
from posthog_local.store.transaction import Transaction

_ALL = EventFilter()


def event(name: str, distinct_id: str = "u", at: int = 0, **changes: Any) -> IncomingEvent:
    return IncomingEvent(
        uuid=changes.pop("uuid", str(uuid4())),
        event=name,
        distinct_id=distinct_id,
        timestamp_us=at,
        received_us=at,
        properties=changes,
    )


async def warnings(store: Store) -> list[StoredWarning]:
    return await store.read(lambda view: shelves.warnings.latest(view.connection, 10))


def with_store(data: Path | None, use: Callable[[Store], Awaitable[None]]) -> None:
    async def main() -> None:
        folder = Folder(data)
        store = Store(folder)
        try:
            await use(store)
        finally:
            await store.close()
            folder.close()

    asyncio.run(main())


def test_events_are_there_after_a_restart(tmp_path: Path) -> None:
    async def write(store: Store) -> None:
        await store.add_events([event("a", n=1), event("b")])

    async def read(store: Store) -> None:
        found = store.reader.events(_ALL, 10)
        assert [(one.seq, one.event, one.properties) for one in found] == [
            (1, "a", {"n": 1}),
            (2, "b", {}),
        ]
        await store.add_events([event("c")])
        assert store.reader.last_seq() == 3

    with_store(tmp_path, write)
    with_store(tmp_path, read)


def test_a_uuid_is_stored_once_and_a_foreign_reuse_is_noted() -> None:
    async def use(store: Store) -> None:
        uuid = str(uuid4())
        await store.add_events([event("a", uuid=uuid), event("a", uuid=uuid)])
        await store.add_events([event("a", uuid=uuid)])
        assert (await warnings(store)) == []
        await store.add_events([event("other", uuid=uuid)])
        assert [one.event for one in store.reader.events(_ALL, 10)] == ["a"]
        assert [one.kind for one in (await warnings(store))] == ["uuid_reused_by_another_event"]

    with_store(None, use)


def test_a_merge_re_points_earlier_events() -> None:
    async def use(store: Store) -> None:
        await store.add_events([event("seen", "anon", at=1), event("other", "stranger", at=2)])
        assert store.reader.timeline("u", 10) == []
        await store.add_events([event("$identify", "u", at=3, **{"$anon_distinct_id": "anon"})])
        for distinct_id in ("u", "anon"):
            timeline = store.reader.timeline(distinct_id, 10)
            assert [one.event for one in timeline] == ["seen", "$identify"]
            assert {one.person_id for one in timeline} == {person_uuid("anon")}
        person = store.reader.person("u")
        assert person is not None
        assert person.distinct_ids == ("anon", "u")

    with_store(None, use)


def test_the_timeline_is_in_the_order_of_event_time() -> None:
    async def use(store: Store) -> None:
        await store.add_events([event("late", at=5), event("early", at=1), event("mid", at=3)])
        timeline = store.reader.timeline("u", 10)
        assert [one.event for one in timeline] == ["early", "mid", "late"]
        assert [one.event for one in store.reader.timeline("u", 2)] == ["mid", "late"]

    with_store(None, use)


def test_filters() -> None:
    async def use(store: Store) -> None:
        uuid = str(uuid4())
        await store.add_events([event("a", "u", uuid=uuid), event("b", "u"), event("a", "v")])

        def found(**wanted: Any) -> list[int]:
            return [one.seq for one in store.reader.events(EventFilter(**wanted), 10)]

        assert found(event="a") == [1, 3]
        assert found(distinct_id="u") == [1, 2]
        assert found(event="a", distinct_id="v") == [3]
        assert found(uuid=uuid) == [1]
        assert found(after_seq=1) == [2, 3]

    with_store(None, use)


def test_a_failing_job_fails_alone_and_leaves_nothing() -> None:
    def broken(transaction: Transaction) -> None:
        shelves.events.ingest(transaction, event("half"))
        transaction.people.find_or_create("half", 0)
        raise RuntimeError("broken")

    async def use(store: Store) -> None:
        results = await asyncio.gather(
            store.add_events([event("before", "x")]),
            store.change_flags(broken),
            store.add_events([event("after", "x")]),
            return_exceptions=True,
        )
        assert [type(one) for one in results] == [type(None), RuntimeError, type(None)]
        assert {one.event for one in store.reader.events(_ALL, 10)} == {"before", "after"}
        assert store.reader.person("half") is None

    with_store(None, use)


def test_many_requests_share_a_commit() -> None:
    async def use(store: Store) -> None:
        await asyncio.gather(*(store.add_events([event("e", f"u{n}")]) for n in range(300)))
        assert len(store.reader.events(_ALL, 1000)) == 300
        # Were it a commit for each, the version would have gone up 300 times.
        assert store.changes.version < 100

    with_store(None, use)


def test_waiting_ends_with_the_event_or_the_time() -> None:
    async def use(store: Store) -> None:
        waiting = asyncio.create_task(
            store.wait_for_events(EventFilter(event="b"), count=1, limit=10, wait_s=30)
        )
        await store.add_events([event("a")])
        await store.add_events([event("b")])
        assert [one.event for one in await waiting] == ["b"]
        nothing = await store.wait_for_events(
            EventFilter(event="c"), count=1, limit=10, wait_s=0.01
        )
        assert nothing == []

    with_store(None, use)


def test_reset_empties_and_numbers_go_on() -> None:
    async def use(store: Store) -> None:
        await store.add_events([event("a", **{"$groups": {"company": "x"}})])
        await store.change_flags(shelves.flags.save({"key": "f"}, 0))
        await store.reset(keep_flags=True)
        assert store.reader.events(_ALL, 10) == []
        assert store.reader.person("u") is None
        assert store.reader.group_types() == {}
        assert store.flags.get("f") is not None
        await store.add_events([event("b")])
        assert store.reader.last_seq() == 2
        await store.reset(keep_flags=False)
        assert store.flags.get("f") is None

    with_store(None, use)


def test_a_flag_s_version_goes_up_with_each_real_change() -> None:
    async def use(store: Store) -> None:
        first = await store.change_flags(shelves.flags.save({"key": "f"}, 0))
        again = await store.change_flags(shelves.flags.save({"key": "f"}, 0))
        changed = await store.change_flags(shelves.flags.save({"key": "f", "active": False}, 0))
        assert [first["version"], again["version"], changed["version"]] == [1, 1, 2]
        assert first["id"] == changed["id"]
        with pytest.raises(InvalidDefinition):
            await store.change_flags(shelves.flags.save({"key": "f", "variants": {"a": 10}}, 0))
        assert store.flags.get("f") == changed

    with_store(None, use)


def test_replacing_all_flags_changes_all_or_nothing() -> None:
    async def use(store: Store) -> None:
        await store.change_flags(shelves.flags.save({"key": "old"}, 0))
        with pytest.raises(InvalidDefinition):
            await store.change_flags(
                shelves.flags.replace_all([{"key": "new"}, {"key": ""}], {}, 0)
            )
        assert [flag["key"] for flag in store.flags.flags] == ["old"]
        await store.change_flags(shelves.flags.replace_all([{"key": "new"}], {"3": {}}, 0))
        assert [flag["key"] for flag in store.flags.flags] == ["new"]
        assert store.flags.cohorts == {3: {}}

    with_store(None, use)


def test_a_folder_has_one_user_at_a_time(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with pytest.raises(FolderError, match="another PostHog Local is using"):
        Folder(tmp_path)
    folder.close()
    Folder(tmp_path).close()


def test_keys_are_made_once_and_kept_private(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    keys = folder.keys()
    assert keys.project_token.startswith("phc_")
    assert keys.secret_key.startswith("phs_")
    assert folder.keys() == keys
    assert folder.keys(project_token="phc_mine").project_token == "phc_mine"
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    folder.close()


def test_a_newer_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    connection = apsw.Connection(str(tmp_path / "posthog.sqlite"))
    connection.pragma("user_version", schema.FORMAT_VERSION + 1)
    connection.close()
    with pytest.raises(schema.UnknownFormat, match="nothing was changed"):
        folder.connect_writer()
    folder.close()


def test_a_temporary_folder_is_gone_afterwards() -> None:
    folder = Folder(None)
    assert folder.path.exists()
    folder.close()
    assert not folder.path.exists()
