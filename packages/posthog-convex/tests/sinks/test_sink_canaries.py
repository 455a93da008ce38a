"""Secrets of a deployment reach neither PostHog nor a page or a command that shows its streams."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from posthog_local.testing import PostHogLocal
from pyconvex.log_streams.topics import SUBSCRIBABLE

HEADER = "canary-authorization"
VARIABLE = "canary-variable"
ARGUMENT = "canary-argument"
CONFIG = """
from posthog_convex import posthog_component
from pyconvex import define_app, v

token = {"POSTHOG_PROJECT_TOKEN": v.string(), "POSTHOG_HOST": v.optional(v.string())}
app = define_app(env={"SECRET": v.optional(v.string()), **token})
app.use(posthog_component, env=app.env)
"""
HTTP = """
from pyconvex import HttpActionCtx, Request, Response, http_router

http = http_router()


@http.route(path="/hook", method="POST")
async def hook(ctx: HttpActionCtx, request: Request) -> Response:
    secret = ctx.env["SECRET"], request.headers["authorization"], await request.text()
    print("hooked", len(secret))
    raise ValueError("after reading all of it")
"""
TALK = """
from pyconvex import MutationCtx, mutation


@mutation
async def read(ctx: MutationCtx, secret: str) -> None:
    ctx.audit({"read": True})
    print("read", ctx.env["SECRET"] == secret)
    raise ValueError("no")
"""


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app of this page, instead of the package's."""
    folder = tmp_path_factory.mktemp("canaries") / "convex"
    folder.mkdir()
    (folder / "convex_config.py").write_text(CONFIG)
    (folder / "http.py").write_text(HTTP)
    (folder / "talk.py").write_text(TALK)
    return folder


def test_no_secret_leaves_through_posthogs_streams(deployed: Any, local: PostHogLocal) -> None:
    async def scenario(app: Any) -> None:
        to_local = {"POSTHOG_HOST": local.url, "POSTHOG_PROJECT_TOKEN": local.project_token}
        await app.set_env(SECRET=VARIABLE, **to_local)
        server = app._server
        project = {"apiKey": local.project_token, "host": local.url}
        for kind, more in (
            ("postHogLogs", {"topics": [*SUBSCRIBABLE]}),
            ("postHogErrorTracking", {}),
        ):
            await server.log_streams.create({"logStreamType": kind, **project, **more})
        await app.until("verified streams", lambda: active(server))
        async with httpx2.AsyncClient(timeout=30) as client:
            admin = {"authorization": f"Convex {app.admin_key}"}
            changes = {"changes": [{"name": "SECRET", "value": VARIABLE + "-2"}]}
            url = f"{app.url}/api/update_environment_variables"
            assert (await client.post(url, json=changes, headers=admin)).status_code == 200
            hooked = await client.post(
                f"{server.site_url}/hook?key={HEADER}",
                headers={"authorization": f"Bearer {HEADER}", "cookie": HEADER},
                content=ARGUMENT,
            )
            assert hooked.status_code == 500
            await app.fails("mutation", "talk:read", {"secret": ARGUMENT})
            server.host_events.look_at_minute()
            await server.host_events.look_at_storage()
            seen = await app.until("all that was told", lambda: topics_and_errors(local))
            pages = await pages_of(client, app)
        told = json.dumps([local.logs(limit="500"), local.events(), local.issues()])
        shown = await asyncio.to_thread(printed, app, "list")
        secrets = (app.admin_key, app.admin_key.partition("|")[2], HEADER, VARIABLE, ARGUMENT)
        for secret in (*secrets, local.project_token):
            for name, text in (("events", told), ("pages", pages), ("the command", shown)):
                assert secret not in text, (secret, name)
        assert {"hooked 3", "read False"} <= seen, "the canaries were where they could be told"

    deployed(scenario)


async def active(server: Any) -> bool:
    return all(each["status"]["type"] == "active" for each in server.log_streams.listed())


async def topics_and_errors(local: PostHogLocal) -> set[str] | None:
    lines = await asyncio.to_thread(local.logs, limit="500")
    topics = {line["attributes"]["convex.topic"] for line in lines}
    wanted = {"console", "function_execution", "deployment_audit_log", "current_storage_usage"}
    wanted |= {"concurrency_stats", "custom_audit"}
    errors = await asyncio.to_thread(lambda: local.events(event="$exception"))
    return {line["body"] for line in lines} if wanted <= topics and len(errors) == 2 else None


async def pages_of(client: httpx2.AsyncClient, app: Any) -> str:
    """Every page about streams, as whoever signed in reads it."""
    form = {"key": app.admin_key}
    here = {"origin": app.url, "sec-fetch-site": "same-origin"}
    signed_in = await client.post(f"{app.url}/dashboard/sign_in", data=form, headers=here)
    assert signed_in.status_code == 303
    base = f"{app.url}/dashboard/log_streams"
    ids = [each["id"] for each in app._server.log_streams.listed()]
    texts = []
    for path in ("", "/state", "/new/postHogLogs", "/new/webhook", *(f"/{id}" for id in ids)):
        answer = await client.get(base + path)
        assert answer.status_code == 200, path
        texts.append(answer.text)
    return "\n".join(texts)


def printed(app: Any, *words: str) -> str:
    program = "from pyconvex.cli import main; main(prog_name='pyconvex')"
    asked = ("log-streams", *words, "--url", app.url, "--admin-key", app.admin_key)
    done = subprocess.run(
        [sys.executable, "-c", program, *asked], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
