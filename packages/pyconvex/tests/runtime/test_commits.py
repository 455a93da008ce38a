import asyncio

import pytest

from pyconvex.database import Committed, Committer, Conflict, ReadSet
from pyconvex.runtime.commits.queue import CommitQueue
from pyconvex.storage import DocumentWrite, Proposal, Store
from pyconvex.storage.model import FIRST_DATA_TABLET

T = FIRST_DATA_TABLET


def writing(id: bytes, snapshot_ts: int, reads: ReadSet | None = None) -> Proposal:
    write = DocumentWrite(T, id.ljust(16), b"x", None)
    return Proposal(snapshot_ts, (reads or ReadSet()).encode(), (write,))


@pytest.fixture
def store(tmp_path):
    store = Store.open(tmp_path / "data")
    yield store
    store.close()


def test_who_goes_ahead_meets_no_conflict(store):
    async def main() -> list[object]:
        commits = CommitQueue(Committer(store))
        everything = ReadSet()
        everything.add_range(T, b"", None)
        waiting = [commits.submit(writing(b"%d" % n, store.visible_ts)) for n in range(100)]
        last = commits.submit(writing(b"behind", store.visible_ts, everything))
        ahead = commits.submit(writing(b"ahead", store.visible_ts, everything), ahead=True)
        return await asyncio.gather(ahead, last, *waiting)

    ahead, last, *others = asyncio.run(main())
    assert isinstance(ahead, Committed)
    assert isinstance(last, Conflict)
    assert all(isinstance(each, Committed) and each.ts > ahead.ts for each in others)


def test_work_between_commits_waits_for_the_pause_to_end(store):
    async def main() -> None:
        commits = CommitQueue(Committer(store))
        async with commits.paused():
            async with commits.paused():
                work = commits.between(lambda: 7)
                proposal = commits.submit(writing(b"a", store.visible_ts))
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not any(each.done() for each in (work, proposal))
        assert await work == 7
        assert isinstance(await proposal, Committed)

    asyncio.run(main())


def test_work_that_fails_tells_its_caller_only(store):
    def fail() -> None:
        raise ValueError("no")

    async def main() -> None:
        commits = CommitQueue(Committer(store))
        failing, working = commits.between(fail), commits.between(lambda: 1)
        assert await working == 1
        with pytest.raises(ValueError, match="no"):
            await failing

    asyncio.run(main())
