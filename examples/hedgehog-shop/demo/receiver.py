"""Where events go: PostHog Local, started here, or a project elsewhere that is only written to.

Owns the choice and the flags that the shop reads. Never sends an event. One invariant: nothing is
changed in a project that is not ours.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from demo import ports
from demo.failure import DemoError
from demo.options import POSTHOG_PORT, Cloud, Options
from posthog_convex.destination import Answer, Destination, NotNow, Rejected, verify
from posthog_local.testing import PostHogLocal, ServerDidNotStart
from posthog_local.testing import running as posthog_local

#: The multivariate flag that decides about the discount.
FLAG = "discount-campaign"
#: Its variants, and how many per cent of the people get each.
VARIANTS = {"variant-a": 100, "variant-b": 0}
#: In PostHog Local an edited flag should be seen at once; elsewhere a look counts as ten requests.
_REFRESH_S, USUAL_REFRESH_S = 2, 60
#: How long a PostHog elsewhere may take to answer, in seconds.
_ANSWER_S = 10.0


@dataclass(frozen=True)
class Receiver:
    """What the host and the page are told."""

    host: str
    token: str
    #: Reads flag definitions; None where none was given.
    flags_key: str | None
    #: How often the host asks for changed flags, in seconds.
    refresh_s: int
    #: PostHog Local, to ask what arrived; None elsewhere.
    local: PostHogLocal | None
    #: PostHog Local finds the shop's tables here, as Parquet files; None elsewhere.
    tables: Path | None = None


@contextmanager
def receiving(options: Options) -> Iterator[Receiver]:
    """The receiver, for as long as the block lasts."""
    if options.cloud is not None:
        yield _elsewhere(options.cloud)
        return
    port = ports.choose("--posthog-port", options.posthog_port, POSTHOG_PORT)
    data = None if options.data is None else _folder(options.data / "posthog-local")
    try:
        with _tables(options) as tables:
            arguments = ["--port", str(port), "--warehouse", str(tables)]
            with posthog_local(data=data, arguments=arguments) as local:
                _plant(local)
                token, key = local.project_token, local.secret_key
                yield Receiver(local.url, token, key, _REFRESH_S, local, tables)
    except ServerDidNotStart as error:
        raise DemoError(f"PostHog Local did not start: {error}") from error


@contextmanager
def _tables(options: Options) -> Iterator[Path]:
    """The folder for the shop's tables, kept as long as everything else is."""
    if options.data is not None:
        yield options.data / "tables"
        return
    with tempfile.TemporaryDirectory(prefix="hedgehog-tables-") as folder:
        yield Path(folder) / "tables"


def _plant(local: PostHogLocal) -> None:
    """The discount's flag, switched off; one that is there already stays as it is."""
    if FLAG not in {flag["key"] for flag in local.flags()}:
        begin_visit(local)


def begin_visit(local: PostHogLocal) -> None:
    """The flag as a scripted visit finds it, also where an earlier one has left it on."""
    local.set_flag(FLAG, active=False, variants=VARIANTS)


def _elsewhere(cloud: Cloud) -> Receiver:
    found = asyncio.run(verify(Destination(cloud.token, cloud.host), _ask))
    if isinstance(found, Rejected | NotNow):
        raise DemoError(f"Nothing was started: {found.reason}.")
    return Receiver(cloud.host, cloud.token, cloud.flags_key, USUAL_REFRESH_S, None)


async def _ask(url: str, body: bytes) -> Answer | str:
    headers = {"content-type": "application/json"}
    try:
        async with httpx2.AsyncClient(timeout=_ANSWER_S) as client:
            answer = await client.post(url, content=body, headers=headers)
    except httpx2.HTTPError as error:
        return type(error).__name__
    return Answer(answer.status_code, dict(answer.headers))


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
