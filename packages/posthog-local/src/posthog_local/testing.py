"""A PostHog for your tests: a server in a process of its own, and questions to ask it.

Owns the life of that process and a small client for the control API, on the standard library alone.
Invariant: when the `with` block ends, the process has ended.

>>> with running() as local:
...     _ = local.set_flag("beta", rollout=100)
...     local.flags()[0]["key"]
'beta'
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode, urlsplit

_START_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 10.0
# The server waits at most this long for an event in one request; longer waits ask again.
_MAX_POLL_S = 30.0


class EventNotSeen(AssertionError):
    """The event did not arrive in time; the message lists what did."""


class ServerDidNotStart(RuntimeError):
    """The server process ended or stayed silent; the message holds what it said."""


class ControlError(RuntimeError):
    """The control API refused a request; the message says why."""


class PostHogLocal:
    """A running server. Get one from `running`; every method asks the server, nothing is cached."""

    def __init__(self, arguments: Sequence[str], data: Path | None) -> None:
        self._arguments = list(arguments)
        self._data = data
        self._port = 0
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed in `stop`
        self._process: subprocess.Popen[bytes] | None = None
        self.url = self.project_token = self.secret_key = self.personal_api_key = ""
        self.pid = 0

    def start(self) -> None:
        """Starts the process and returns once it accepts requests."""
        place = ["--temp"] if self._data is None else ["--data", str(self._data)]
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "posthog_local", "start", "--json", "--end-with-stdin"),
                *("--port", str(self._port), *place, *self._arguments),
            ],
            stdin=subprocess.PIPE,  # ends when this process does, however that comes
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        started = json.loads(self._first_line())
        self.url = started["url"]
        self.project_token = started["project_token"]
        self.secret_key = started["secret_key"]
        self.personal_api_key = started["personal_api_key"]
        self.pid = started["pid"]
        self._port = urlsplit(self.url).port or 0

    def stop(self) -> None:
        """Stops the server as Ctrl-C does, and waits for its end."""
        self._end(signal.SIGTERM)
        self._log.close()

    def kill(self) -> None:
        """Ends the process at once, as a crash would; `restart` brings it back."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Starts again on the same port with the same data; needs `running(data=…)`."""
        if self._data is None:
            raise ValueError("only a server with a data folder can restart: running(data=…)")
        self._end(signal.SIGTERM)
        self.start()

    def events(
        self, event: str | None = None, distinct_id: str | None = None, *, limit: int = 1000
    ) -> list[dict[str, Any]]:
        """Stored events, the oldest first; a distinct id stands for every id of its person."""
        found = self._events(event, distinct_id, limit=limit)
        return list(found)

    def wait_for_event(
        self,
        event: str,
        *,
        distinct_id: str | None = None,
        properties: Mapping[str, Any] | None = None,
        timeout: float = 5.0,
    ) -> dict[str, Any]:
        """The first event of this name (of this person, with these properties) once it is there.

        Raises `EventNotSeen` after `timeout` seconds.
        """
        found = self.wait_for_events(
            event, 1, distinct_id=distinct_id, properties=properties, timeout=timeout
        )
        return found[0]

    def wait_for_events(
        self,
        event: str,
        count: int,
        *,
        distinct_id: str | None = None,
        properties: Mapping[str, Any] | None = None,
        timeout: float = 5.0,
    ) -> list[dict[str, Any]]:
        """At least `count` such events; raises `EventNotSeen` after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        others, wanted = 0, dict(properties or {})
        while True:
            wait = max(0.0, min(deadline - time.monotonic(), _MAX_POLL_S))
            needed = others + count
            arrived = self._events(event, distinct_id, count=needed, wait=wait, limit=10_000)
            found = [one for one in arrived if _has(one["properties"], wanted)]
            if len(found) >= count:
                return found
            others = len(arrived) - len(found)
            if time.monotonic() >= deadline:
                what = f"{event!r} with {wanted}" if wanted else repr(event)
                raise EventNotSeen(self._explain(what, distinct_id, count, len(found), timeout))

    def timeline(self, distinct_id: str) -> list[dict[str, Any]]:
        """Everything on the timeline of the person with this id, the earliest first."""
        answer = self.request("GET", "/_local/timeline?" + urlencode({"distinct_id": distinct_id}))
        return list(answer["timeline"])

    def person(self, distinct_id: str) -> dict[str, Any] | None:
        """The person with this id: id, distinct_ids, properties, is_identified, created_at."""
        answer = self.request("GET", "/_local/persons?" + urlencode({"distinct_id": distinct_id}))
        return next(iter(answer["persons"]), None)

    def logs(self, **wanted: str) -> list[dict[str, Any]]:
        """Log lines, the latest first; narrow by severity, service_name, search, trace_id, …"""
        return list(self.request("GET", "/_local/logs?" + urlencode(wanted))["logs"])

    def issues(self) -> list[dict[str, Any]]:
        """Error tracking issues, the one that occurred last first."""
        return list(self.request("GET", "/_local/issues")["issues"])

    def recordings(self) -> list[dict[str, Any]]:
        """Session recordings, the one that ended last first."""
        return list(self.request("GET", "/_local/recordings")["recordings"])

    def warnings(self) -> list[dict[str, Any]]:
        """What PostHog would have dropped or rewritten in silence, the newest first."""
        return list(self.request("GET", "/_local/warnings")["warnings"])

    def flags(self) -> list[dict[str, Any]]:
        """The full definition of every flag."""
        return list(self.request("GET", "/_local/flags")["flags"])

    def set_flag(
        self,
        key: str,
        *,
        active: bool = True,
        rollout: float | None = 100,
        variants: Mapping[str, float] | None = None,
        variant: str | None = None,
        properties: Sequence[Mapping[str, Any]] = (),
        payloads: Mapping[str, Any] | None = None,
        definition: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Creates or changes a flag; gives its full definition. `definition` replaces the rest."""
        short = {
            "active": active,
            "rollout_percentage": rollout,
            "variants": dict(variants or {}),
            "variant": variant,
            "properties": [dict(line) for line in properties],
            "payloads": dict(payloads or {}),
        }
        body = {**(short if definition is None else definition), "key": key}
        return dict(self.request("PUT", f"/_local/flags/{quote(key)}", body))

    def set_flags(
        self,
        flags: Sequence[Mapping[str, Any]],
        cohorts: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Makes these the only flags and cohorts."""
        self.request("PUT", "/_local/flags", {"flags": list(flags), "cohorts": cohorts or {}})

    def override_flags(self, **values: bool | str) -> None:
        """What these flags are for everybody: on, off, or one variant; others stay as they are."""
        for key, value in values.items():
            variants = {value: 100} if isinstance(value, str) else None
            self.set_flag(key, rollout=0 if value is False else 100, variants=variants)

    def delete_flag(self, key: str) -> bool:
        """Deletes a flag; false when there was none."""
        return bool(self.request("DELETE", f"/_local/flags/{quote(key)}")["deleted"])

    def add_fault(self, route: str, **fault: Any) -> int:
        """Breaks requests under `route`: status=503, latency_ms=…, hang=True, times=… and so on."""
        return int(self.request("POST", "/_local/faults", {"route": route, **fault})["id"])

    def faults(self) -> list[dict[str, Any]]:
        """Every fault with its number of hits."""
        return list(self.request("GET", "/_local/faults")["faults"])

    def clear_faults(self) -> None:
        """Answers normally again."""
        self.request("DELETE", "/_local/faults")

    def reset(self, *, keep_flags: bool = False) -> None:
        """Empties the project: events, persons, groups, warnings, faults, and flags unless kept."""
        self.request("POST", "/_local/reset?" + ("keep_flags=true" if keep_flags else ""))

    def request(self, method: str, path: str, body: object = None) -> Any:
        """One control request, as JSON; `ControlError` with the server's sentence when refused."""
        address = urlsplit(self.url)
        assert address.hostname is not None
        connection = HTTPConnection(address.hostname, address.port, timeout=_MAX_POLL_S + 10)
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, path, payload)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise ControlError(
                f"{method} {path}: {response.status} {text.decode(errors='replace')}"
            )
        return json.loads(text)

    def _events(
        self, event: str | None, distinct_id: str | None, **parameters: float
    ) -> list[dict[str, Any]]:
        wanted = {"event": event, "distinct_id": distinct_id, **parameters}
        query = urlencode({name: value for name, value in wanted.items() if value is not None})
        return list(self.request("GET", f"/_local/events?{query}")["events"])

    def _explain(
        self, what: str, distinct_id: str | None, count: int, seen: int, timeout: float
    ) -> str:
        whose = "" if distinct_id is None else f" of {distinct_id!r}"
        others = [f"{one['event']} of {one['distinct_id']!r}" for one in self.events(limit=20)]
        arrived = ", ".join(others) or "nothing at all"
        return (
            f"{count} {what}{whose} expected within {timeout:g} s, {seen} came; stored: {arrived}"
        )

    def _first_line(self) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], _START_TIMEOUT_S)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            self._end(signal.SIGKILL)
            self._log.seek(0)
            said = self._log.read().decode(errors="replace").strip()
            raise ServerDidNotStart(said or f"no word within {_START_TIMEOUT_S:g} s")
        return line

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            os.kill(process.pid, number)
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def running(*, data: Path | None = None, arguments: Sequence[str] = ()) -> Iterator[PostHogLocal]:
    """A server on a free port for the length of the block; temporary data unless `data` is given.

    `arguments` are further options of `posthog-local start`.
    """
    local = PostHogLocal(arguments, data)
    try:
        local.start()
        yield local
    finally:
        local.stop()


def _has(properties: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(name in properties and properties[name] == value for name, value in wanted.items())
