"""A deployment in memory: a key-value store, functions over it, and live queries.

Implements the host's protocol for real, so that the edges can be tested without the runtime:
queries record which keys they read, a commit invalidates the watches that read what it changed,
results are shared, mutations replay. One invariant: time moves by commits alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pyconvex import identity
from pyconvex.identity import Admin, User
from pyconvex.runtime.calls import (
    EnvChange,
    Failure,
    FunctionCall,
    FunctionKind,
    HostError,
    Outcome,
    QueryResult,
    Replay,
    Settled,
    Success,
)
from pyconvex.values import codec

FIRST_TS = 1_700_000_000_000_000_000


class AppError(Exception):
    """What the functions here throw in the place of a ConvexError."""

    def __init__(self, data: Any) -> None:
        super().__init__(data if isinstance(data, str) else codec.encode(data).decode())
        self.data = data


class Run:
    """What a function gets: the store, and a record of what it did."""

    def __init__(self, deployment: MemoryDeployment, call: FunctionCall) -> None:
        self._deployment = deployment
        self.caller = call.identity
        self.reads: set[str] = set()
        self.writes: dict[str, Any] = {}
        self.log_lines: list[str] = []
        self.journal: str | None = None

    def get(self, key: str, default: Any = None) -> Any:
        self.reads.add(key)
        return self.writes.get(key, self._deployment.store.get(key, default))

    def put(self, key: str, value: Any) -> None:
        self.writes[key] = value

    def log(self, text: str) -> None:
        self.log_lines.append(f"[LOG] {text}")


Function = Callable[[Run, dict[str, Any]], Any]


def list_messages(run: Run, args: dict[str, Any]) -> Any:
    return run.get("messages" + args.get("room", ""), [])


def send_message(run: Run, args: dict[str, Any]) -> Any:
    message = {"author": args["author"], "body": args["body"]}
    run.put("messages" + args.get("room", ""), [*list_messages(run, args), message])
    run.log(f"sent {args['body']}")


def get_counter(run: Run, args: dict[str, Any]) -> Any:
    return run.get("counter:" + args["name"], 0.0)


def add_to_counter(run: Run, args: dict[str, Any]) -> Any:
    total = get_counter(run, args) + args["by"]
    run.put("counter:" + args["name"], total)
    return total


def sign(run: Run, args: dict[str, Any]) -> Any:
    return "negative" if get_counter(run, args) < 0 else "positive"


def at_most(run: Run, args: dict[str, Any]) -> Any:
    total = get_counter(run, args)
    if total > args["limit"]:
        raise AppError({"code": "TOO_MANY", "total": total})
    return total


def refuse(run: Run, args: dict[str, Any]) -> Any:
    run.put("refused", True)
    raise AppError({"code": "NOPE", "args": args})


def crash(run: Run, args: dict[str, Any]) -> Any:
    raise ValueError("it broke")


def echo(run: Run, args: dict[str, Any]) -> Any:
    return args


def whoami(run: Run, args: dict[str, Any]) -> Any:
    match run.caller:
        case User() as user:
            return codec.decode(user.attributes)
        case Admin(User() as user):
            return codec.decode(user.attributes)
        case Admin():
            return "admin"
    return None


def page(run: Run, args: dict[str, Any]) -> Any:
    run.journal = "end-cursor"
    return list_messages(run, args)[: int(args["paginationOpts"]["numItems"])]


FUNCTIONS: dict[str, tuple[FunctionKind, bool, Function]] = {
    "messages:list": ("query", True, list_messages),
    "messages:send": ("mutation", True, send_message),
    "messages:page": ("query", True, page),
    "counters:get": ("query", True, get_counter),
    "counters:sign": ("query", True, sign),
    "counters:at_most": ("query", True, at_most),
    "counters:add": ("mutation", True, add_to_counter),
    "counters:add_from_action": ("action", True, add_to_counter),
    "counters:secret": ("query", False, get_counter),
    "errors:refuse": ("mutation", True, refuse),
    "errors:refuse_query": ("query", True, refuse),
    "errors:refuse_action": ("action", True, refuse),
    "errors:crash": ("mutation", True, crash),
    "errors:crash_query": ("query", True, crash),
    "users:whoami": ("query", True, whoami),
    "values:echo": ("query", True, echo),
    "values:echo_action": ("action", True, echo),
    "dir/deep:default": ("query", True, echo),
}


@dataclass(eq=False)
class Watching:
    """One watch; armed from a settle until it has been told that it is stale."""

    deployment: MemoryDeployment
    call: FunctionCall
    on_stale: Callable[[], None]
    reads: set[str] = field(default_factory=set)
    armed: bool = False

    def close(self) -> None:
        self.armed = False
        self.deployment.watching.discard(self)


class MemoryDeployment:
    """A host, its live queries and its environment, in one."""

    def __init__(self) -> None:
        self.store: dict[str, Any] = {}
        self.durable_ts = FIRST_TS
        self.session_header = ""
        #: The sessions that calls came with.
        self.sessions: list[str] = []
        self.watching: set[Watching] = set()
        self.variables: dict[str, str] = {}
        #: How many times functions ran, by path.
        self.runs: dict[str, int] = {}
        #: What the next call raises, by path.
        self.faults: dict[str, HostError | Exception] = {}
        #: While cleared, mutations and actions wait before they run.
        self.gate = asyncio.Event()
        self.gate.set()
        #: While cleared, mutations that have committed wait before they answer.
        self.answering = asyncio.Event()
        self.answering.set()
        self._results: dict[tuple[Any, ...], tuple[QueryResult, set[str]]] = {}
        self._replayed: dict[Replay, Success] = {}

    # --- Host

    @property
    def queries(self) -> MemoryDeployment:
        return self

    def kind_of(self, component: str, path: str, *, public_only: bool) -> FunctionKind | None:
        found = FUNCTIONS.get(path)
        if component or found is None or (public_only and not found[1]):
            return None
        return found[0]

    async def run_query(self, call: FunctionCall) -> Outcome:
        self._fault(call.path)
        self.sessions.append(call.session_id)
        return self._query(call)[0].outcome

    async def run_mutation(
        self,
        call: FunctionCall,
        replay: Replay | None = None,
        on_visible: Callable[[int], None] | None = None,
    ) -> Outcome:
        await self._enter(call.path)
        if replay in self._replayed:
            return self._replayed[replay]
        self.sessions.append(call.session_id)
        run = Run(self, call)
        outcome = self._execute(run, call)
        if isinstance(outcome, Failure):
            return outcome
        self.commit(run.writes)
        outcome = msgspec.structs.replace(outcome, ts=self.durable_ts)
        if on_visible is not None:
            on_visible(outcome.ts)
        await self.answering.wait()
        if replay is not None:
            self._replayed[replay] = outcome
        return outcome

    async def run_action(self, call: FunctionCall) -> Outcome:
        await self._enter(call.path)
        self.sessions.append(call.session_id)
        run = Run(self, call)
        outcome = self._execute(run, call)
        self.commit(run.writes)
        return outcome

    # --- Queries

    def watch(
        self, call: FunctionCall, journal: str | None, on_stale: Callable[[], None]
    ) -> Watching:
        watch = Watching(self, call, on_stale)
        self.watching.add(watch)
        return watch

    async def settle(self, watches: Sequence[Watching], not_before_ts: int) -> Settled:
        await asyncio.sleep(0)
        self.durable_ts = max(self.durable_ts, not_before_ts)
        results = []
        for watch in watches:
            self._fault(watch.call.path)
            result, watch.reads = self._query(watch.call)
            watch.armed = True
            results.append(result)
        return Settled(self.durable_ts, results)

    # --- Environment

    async def list(self) -> dict[str, str]:
        return self.variables

    async def apply(self, changes: Iterable[EnvChange]) -> None:
        changed = dict(self.variables)
        for change in changes:
            if not change.name.isidentifier():
                raise HostError(400, "BadEnvVarName", f"{change.name!r} is not a name.")
            changed.pop(change.name, None)
            if change.value is not None:
                changed[change.name] = change.value
        self.variables = changed

    # --- inside

    def commit(self, writes: dict[str, Any]) -> None:
        if not writes:
            return
        self.store.update(writes)
        self.durable_ts += 1000
        changed = set(writes)
        stale = [key for key, (_, reads) in self._results.items() if reads & changed]
        for key in stale:
            del self._results[key]
        for watch in list(self.watching):
            if watch.armed and watch.reads & changed:
                watch.armed = False
                watch.on_stale()

    def _query(self, call: FunctionCall) -> tuple[QueryResult, set[str]]:
        key = (call.path, call.args, call.public_only, identity.encode(call.identity))
        if key not in self._results:
            run = Run(self, call)
            outcome = self._execute(run, call)
            self._results[key] = (QueryResult(outcome, run.journal, call.request_id), run.reads)
        return self._results[key]

    def _execute(self, run: Run, call: FunctionCall) -> Outcome:
        kind = self.kind_of(call.component, call.path, public_only=call.public_only)
        if kind is None:
            public = "public " if call.public_only else ""
            return Failure(f"Could not find {public}function for '{call.path}'.")
        if kind != call.kind:
            return Failure(
                f"Trying to execute {call.path} as {call.kind.capitalize()}, but it is defined as "
                f"{kind.capitalize()}."
            )
        self.runs[call.path] = self.runs.get(call.path, 0) + 1
        try:
            args: Any = codec.decode(call.args)
            value = codec.encode(FUNCTIONS[call.path][2](run, args))
        except AppError as error:
            text = f"Uncaught ConvexError: {error}"
            return Failure(text, codec.encode(error.data), tuple(run.log_lines))
        except Exception as error:
            text = f"Uncaught {type(error).__name__}: {error}"
            return Failure(text, None, tuple(run.log_lines))
        return Success(value, tuple(run.log_lines), self.durable_ts)

    async def _enter(self, path: str) -> None:
        await asyncio.sleep(0)
        await self.gate.wait()
        self._fault(path)

    def _fault(self, path: str) -> None:
        fault = self.faults.pop(path, None)
        if fault is not None:
            raise fault
