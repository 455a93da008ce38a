"""What a server is started with.

Owns the settings and their defaults. Never reads the environment by itself; commands make one
object and pass it down.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: Convex's conventional ports: clients in the wild expect the API here.
DEFAULT_PORT = 3210


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Everything that decides how one server runs."""

    #: Where documents, queues and keys are kept.
    data: Path = Path(".pyconvex")
    #: The functions folder to deploy from; None runs what was deployed last.
    functions: Path | None = None
    host: str = "127.0.0.1"
    #: 0 takes a free port.
    port: int = DEFAULT_PORT
    #: Where HTTP actions answer; None takes the port after `port`, or with that 0 a free one.
    site_port: int | None = None
    #: Where clients reach the API, and HTTP actions, when that is not where the server listens;
    #: without `/` at the end.
    cloud_origin: str | None = None
    site_origin: str | None = None
    #: Isolates kept ready for queries and mutations. 0 runs functions in the server's own process,
    #: where a debugger finds them and nothing ends one that loops.
    isolates: int = 2
    #: At most so many when runs are slow: what Convex's smallest deployments run at once.
    max_isolates: int = 16
    #: Every run gets a process in which nothing has run, so that no module's state outlives a call.
    fresh: bool = False
    #: Deploy again when a file of the functions folder changes.
    watch: bool = False
    #: Keep error texts and log lines from clients, as production does; administrators read them in
    #: HTTP answers and in the logs, and the data of a `ConvexError` reaches everybody.
    redact_logs_to_client: bool = False
    #: Print events of log streams, as "text" or "jsonl", for as long as this server runs.
    print_events: str | None = None
    #: The project's folder, whose files say which companions run beside this; None runs none.
    project: Path | None = None
    #: What receivers of events are told that it is: "dev", "prod", "preview" or "custom".
    deployment_type: str = "prod"
    #: Short name of the deployment, part of its admin key.
    name: str = "local"

    @property
    def site_port_or_next(self) -> int:
        """The port of HTTP actions."""
        if self.site_port is not None:
            return self.site_port
        return self.port + 1 if self.port else 0
