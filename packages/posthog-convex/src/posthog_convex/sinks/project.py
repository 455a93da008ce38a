"""The project that a stream sends to: its two settings, and finding out whether they are right.

Owns the fields that both kinds share. Never shows a token. One invariant: a stream becomes active
unless PostHog says that its settings are wrong; that nobody can tell is no fault.
"""

from __future__ import annotations

import asyncio
import random

from posthog_convex.destination import (
    HOST_VARIABLE,
    TOKEN_REQUIRED,
    TOKEN_VARIABLE,
    URL_INVALID,
    Answer,
    Ask,
    Destination,
    NotNow,
    Rejected,
    host_problem,
    token_problem,
    verify,
)
from posthog_convex.endpoints import DEFAULT_HOST
from posthog_convex.events.batch import USER_AGENT
from pyconvex.log_streams import (
    Config,
    ConfigRefused,
    Field,
    NotVerified,
    Request,
    Transport,
    Unreachable,
)
from pyconvex.log_streams.sink import VERIFY_ATTEMPTS, VERIFY_PAUSE_S

API_KEY = Field(
    name="apiKey",
    label="Project Token",
    kind="secret",
    required=True,
    placeholder="phc_...",
    help="In PostHog: Settings, Project, General. Not a personal API key.",
    prefill_env=TOKEN_VARIABLE,
    required_message=TOKEN_REQUIRED,
    error_code="InvalidPostHogProjectToken",
)
HOST = Field(
    name="host",
    label="Host",
    kind="url",
    placeholder=DEFAULT_HOST,
    help="Where the project is. Left out, it is PostHog's US cloud.",
    prefill_env=HOST_VARIABLE,
    invalid_message=URL_INVALID,
    error_code="InvalidPostHogHost",
)


def destination_of(config: Config) -> Destination:
    """The project of a stream's settings."""
    host = config.get(HOST.name)
    return Destination(str(config[API_KEY.name]), str(host) if host else None)


def validate_project(config: Config) -> None:
    """Raise `ConfigRefused` for a token or host that can't be one."""
    project = destination_of(config)
    if (problem := token_problem(project.token)) is not None:
        raise ConfigRefused(API_KEY.error_code, f"{API_KEY.name}: {problem.rstrip('.')}.")
    if (problem := host_problem(project.host)) is not None:
        raise ConfigRefused(HOST.error_code, f"{HOST.name}: {problem}.")


async def verify_project(
    config: Config, transport: Transport, *, pause_s: float = VERIFY_PAUSE_S
) -> None:
    """Raise `NotVerified` when PostHog refuses the token, or can't be reached in three attempts."""
    ask, reason = asking(transport), ""
    for attempt in range(VERIFY_ATTEMPTS):
        if attempt:
            # Full jitter, as for deliveries.
            await asyncio.sleep(random.random() * pause_s * 2 ** (attempt - 1))  # noqa: S311
        match await verify(destination_of(config), ask):
            case Rejected(reason):
                raise NotVerified(f"{reason}.")
            case NotNow(reason):
                continue
            case _:
                return
    raise NotVerified(f"Gave up after {VERIFY_ATTEMPTS} attempts, last failure: {reason}.")


def asking(transport: Transport) -> Ask:
    """The way out that `verify` needs."""
    headers = (("Content-Type", "application/json"), ("User-Agent", USER_AGENT))

    async def ask(url: str, body: bytes, /) -> Answer | str:
        try:
            response = await transport.send(Request("POST", url, headers, body))
        except Unreachable as error:
            return str(error)
        return Answer(response.status, response.headers)

    return ask
