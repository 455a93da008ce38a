"""One function run's transaction, for all components that a call passes through.

Owns the namespaces; reading, writing and proposing are the draft's. Never commits. One invariant:
once it is closed it knows nothing that knows it.
"""

from __future__ import annotations

from pyconvex.database.catalog import Catalog
from pyconvex.database.draft import DocumentCheck, Draft
from pyconvex.database.namespace import Namespace
from pyconvex.storage import Reader
from pyconvex.values import ids


class Transaction(Draft):
    """Reads at one snapshot and buffered writes, for all components that a call passes through.

    Takes the reader's open snapshot or opens one; `close()` lets it go. `now_ms` is the frozen
    clock of the run, `random` the source of new document ids. Raises `DatabaseError` for what
    Convex refuses and `StorageFailure` when the disk fails.

        with Transaction(reader, now_ms=1e12, random=Random()) as tx:
            tx.namespace("").insert("users", {"name": "Ada"})
            committer.commit([tx.proposal()])
    """

    def __init__(
        self,
        reader: Reader,
        *,
        now_ms: float,
        random: ids.RandomBytes,
        catalog: Catalog | None = None,
        check: DocumentCheck | None = None,
    ) -> None:
        super().__init__(reader, now_ms=now_ms, random=random, catalog=catalog, check=check)
        self._namespaces: dict[tuple[str, bool], Namespace] = {}

    def namespace(self, component_path: str, *, system: bool = False) -> Namespace:
        """The tables of one component; the root is "". `system` also opens its `_…` tables."""
        key = (component_path, system)
        if key not in self._namespaces:
            self._namespaces[key] = Namespace(self, component_path, system=system)
        return self._namespaces[key]

    def close(self) -> None:
        """Let the snapshot go; what was read and written stays available.

        Lets go of its namespaces too, which know it: what a run leaves behind would otherwise wait
        for the garbage collector, with all that it read and wrote.
        """
        super().close()
        self._namespaces.clear()
