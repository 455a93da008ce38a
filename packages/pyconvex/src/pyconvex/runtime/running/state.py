"""What one run of a query or mutation works with, whichever of its functions is under way.

Owns the snapshot, the caller, and the code: whether a component's is the one in force, which
function a target means, what a function may page through and schedule. Never calls a function. One
invariant: nobody gets a component's tables before its code was found to be the one in force.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from pyconvex.database import Catalog, Namespace, Transaction
from pyconvex.functions import FunctionHandle
from pyconvex.functions.pages import Pager
from pyconvex.functions.scheduler import When
from pyconvex.functions.schema import schema_check
from pyconvex.identity import Identity
from pyconvex.runlog import LogLines
from pyconvex.runlog.exceptions import Describer, ErrorIds
from pyconvex.runlog.hooks import Whose
from pyconvex.runlog.report import Items
from pyconvex.runlog.traces import TraceContext
from pyconvex.runtime import purity
from pyconvex.runtime.app import handles
from pyconvex.runtime.app.calling import Callee, find_named, find_to_schedule
from pyconvex.runtime.app.image import AppImage, ComponentImage
from pyconvex.runtime.processes import messages
from pyconvex.runtime.processes.black_box import BlackBox
from pyconvex.runtime.running.errors import describer_for
from pyconvex.runtime.running.last_words import Notes
from pyconvex.runtime.running.person import Person
from pyconvex.runtime.running.tracing import Tracing, trace_within
from pyconvex.runtime.scheduling import requests
from pyconvex.storage import Reader
from pyconvex.values import TableNumbers, Value


class StaleImageError(Exception):
    """The snapshot is of a newer deploy than this process's code."""


class RunState:
    """The state of one run over one snapshot."""

    def __init__(
        self,
        image: AppImage,
        reader: Reader,
        catalog: Catalog,
        start: messages.Start,
        who: Identity,
        box: BlackBox | None = None,
    ) -> None:
        self.image = image
        self.start = start
        self.person = Person(who, image.user_id, start.session_id)
        #: Writes down what the run tells, where the process may end before the run does.
        self.notes = (
            Notes(box, start.run_id, self.person, personal=start.kind == "mutation")
            if box is not None
            else None
        )
        self.log = LogLines(lambda: start.now_ms, self.notes)
        self.items = Items(listener=self.notes)
        #: True once a component's code was found to be too old, in case a handler catches that.
        self.stale = False
        #: Components whose code was found to be the one in force, as it is for the whole run.
        self._checked: dict[str, Namespace] = {}
        self._scheduled = requests.Budget()
        #: The pagination of the run's first call, whichever component that looks into.
        self.pager = Pager(start.cursor_secret, start.journal)
        entropy = purity.Entropy(start.seed)
        self.active = purity.ActiveRun(start.now_ms, entropy)
        #: None without hooks.
        self.tracing = self._traced() if image.hooks else None
        self.transaction = Transaction(
            reader,
            now_ms=start.now_ms,
            random=entropy,
            catalog=catalog,
            check=self._check_document,
        )

    def _traced(self) -> Tracing:
        began_ns, offset_ns = purity.real_steady_ns(), self.active.now_ns
        return Tracing(
            self.image.hooks,
            self.start,
            self.items,
            offset_ns,
            lambda: offset_ns + purity.real_steady_ns() - began_ns,
            lambda error: self.describer.describe(error),
            lambda: Whose(self.user_id(), self.person.session_id),
        )

    def over(self) -> None:
        """The run has ended: let go of what refers back to this, for no collection to find."""
        self.transaction.close()
        if self.tracing is not None:
            self.tracing.over()
            self.tracing = None

    def _check_document(
        self, component: str, tables: TableNumbers, table: str, document: dict[str, Value]
    ) -> None:
        image = self.image.components.get(component)
        if image is not None:
            schema_check(image.schema, tables, table, document)

    @cached_property
    def describer(self) -> Describer:
        """What describes this run's errors, and keeps their ids; most runs have none."""
        return describer_for(ErrorIds(self.start.execution_id), self.image)

    def user_id(self) -> str | None:
        """Whose run it is on record."""
        # A query runs once for everybody; a mutation runs for its caller, looked at or not.
        personal = self.person.observed or self.start.kind == "mutation"
        return self.person.on_record(personal=personal)

    def trace_within(self) -> TraceContext:
        """Where something is that this run schedules or asks of others right now."""
        return trace_within(self.start, self.tracing, self.user_id())

    # Code

    def tables_of(self, path: str) -> Namespace:
        """The tables of the component at `path`, provided that this process has the code that is
        in force there. Raises `StaleImageError`.
        """
        namespace = self._checked.get(path)
        if namespace is not None:
            return namespace
        namespace = self.transaction.namespace(path)
        image = self.image.components.get(path)
        if namespace.component_version() != (image.version if image else None):
            self.stale = True
            raise StaleImageError
        self._checked[path] = namespace
        return namespace

    def opened(self, target: Any) -> Any:
        """What a target stands for: a handle for its function, everything else for itself."""
        try:
            return handles.opened(self.image, self.start.cursor_secret, target)
        except handles.HandleNotFound:
            for path in self.image.components:  # each deploy may bring the function back
                self.tables_of(path)
            raise

    def handle_of(self, caller: Callee, target: Any) -> FunctionHandle:
        """The handle of what `caller` refers to."""
        callee = find_named(self.image, caller, self.opened(target))
        return handles.handle_of(self.start.cursor_secret, callee)

    # Pages and jobs

    def pager_for(self, component: ComponentImage, depth: int) -> Pager | None:
        """What a function call may paginate with: the journal is the first call's alone."""
        if component.path:
            return None
        return self.pager if depth == 1 else Pager(self.start.cursor_secret, None)

    def schedule(self, caller: Callee, when: When, target: Any, arguments: Any, retry: Any) -> str:
        """Have a function run later, if this run commits."""
        callee = find_to_schedule(self.image, caller, self.opened(target))
        tables = self.transaction.namespace(callee.component.path)
        trace = self.trace_within()
        request = requests.request(caller, callee, when, arguments, retry, tables, trace)
        self._scheduled.count(request)
        return requests.apply(self.transaction, request, self.start.job)

    def cancel_scheduled(self, caller: Callee, id: str) -> None:
        """Cancel a job of the caller's component, if this run commits."""
        request = requests.Cancel(caller.component.path, id)
        requests.apply(self.transaction, request, self.start.job)
