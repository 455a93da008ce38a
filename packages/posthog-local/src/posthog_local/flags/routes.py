"""The flag routes: remote evaluation for every SDK, and definitions for local evaluation.

Owns paths, statuses and headers of PostHog's flags service. Evaluation sees the persons and groups
as of the latest commit, overridden by what the request says.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import uuid4

import msgspec

from posthog_local.flags.answer import flags_answer, legacy_answer, payload_text
from posthog_local.flags.book import FlagBook
from posthog_local.flags.evaluate import Evaluation, Subject
from posthog_local.flags.question import Question, read_question
from posthog_local.http.exchange import Request, Response, json_response
from posthog_local.http.router import Endpoint
from posthog_local.http.secrets import Secrets
from posthog_local.ingest.routes import payload_of
from posthog_local.ingest.tokens import Tokens

_MAX_BODY_BYTES = 2 * 1024 * 1024
_DEFINITIONS = (
    "/flags/definitions",
    "/api/feature_flag/local_evaluation",
    "/api/projects/{project}/feature_flags/local_evaluation",
    "/api/environments/{project}/feature_flags/local_evaluation",
)


class FlagFacts(Protocol):
    """What evaluation asks the store."""

    @property
    def flags(self) -> FlagBook: ...
    def person_properties(self, distinct_id: str) -> dict[str, Any] | None: ...
    def group_types(self) -> dict[int, str]: ...
    def group_properties(self, index: int, key: str) -> dict[str, Any]: ...
    def hash_keys(self, distinct_ids: Sequence[str]) -> dict[str, str]: ...
    async def keep_hash_keys(self, distinct_id: str, hash_keys: Mapping[str, str]) -> None: ...


class FlagRoutes:
    """Handlers over the store's facts; `secrets` open the definitions."""

    def __init__(self, facts: FlagFacts, secrets: Secrets, tokens: Tokens) -> None:
        self._tokens = tokens
        self._facts = facts
        self._secrets = secrets

    def endpoints(self) -> Iterable[Endpoint]:
        """The routes of the flags service."""
        for path, handler in (("/flags", self.flags), ("/decide", self.decide)):
            yield Endpoint(
                paths=(path,), handler=handler, max_body_bytes=_MAX_BODY_BYTES, warns=True
            )
        yield Endpoint(
            paths=_DEFINITIONS,
            handler=self.definitions,
            max_body_bytes=0,
            methods=frozenset(["GET"]),
            warns=True,
        )

        yield Endpoint(
            paths=(
                "/api/projects/{project}/feature_flags/{key}/remote_config",
                "/api/environments/{project}/feature_flags/{key}/remote_config",
            ),
            handler=self.remote_config,
            max_body_bytes=0,
            methods=frozenset(["GET"]),
        )

    async def flags(self, request: Request) -> Response:
        """`/flags`: with `v=2` or later one record a flag, without it the legacy maps."""
        version = _version(request, default=1)
        if version < 2:
            return await self._legacy(request, version=3)
        question = read_question(payload_of(request, legacy=True))
        return json_response(
            flags_answer(
                await self._evaluate(question, request),
                version=version,
                request_id=str(uuid4()),
                evaluated_at_ms=time.time_ns() // 1_000_000,
                with_config=request.query.get("config") == "true",
                quota_limited=request.quota_limited,
            )
        )

    async def decide(self, request: Request) -> Response:
        """`/decide`, as SDKs before 2025 call it."""
        return await self._legacy(request, version=_version(request, default=1))

    async def definitions(self, request: Request) -> Response:
        """Definitions for local evaluation; 304 when the caller has them already."""
        if not self._secrets.open(request.header("authorization")):
            return _unauthorized()
        if request.quota_limited:
            return _over_quota()
        definitions = self._facts.flags.definitions(
            self._facts.group_types(), with_cohorts="send_cohorts" in request.query
        )
        headers = (("etag", definitions.etag), ("cache-control", "private, must-revalidate"))
        if definitions.etag in request.header("if-none-match"):
            return Response(status=304, headers=headers)
        return Response(body=definitions.body, headers=headers)

    async def remote_config(self, request: Request) -> Response:
        """The payload of a flag that only carries configuration."""
        if not self._secrets.open(request.header("authorization")):
            return _unauthorized()
        key = request.path_values["key"]
        flag = self._facts.flags.get(key)
        payloads = {} if flag is None else flag["filters"].get("payloads") or {}
        if "true" not in payloads:
            return _api_error(404, "not_found", f"flag {key!r} has no remote configuration")
        return json_response(payload_text(payloads["true"]))

    async def _legacy(self, request: Request, version: int) -> Response:
        question = read_question(payload_of(request, legacy=True))
        return json_response(
            legacy_answer(
                await self._evaluate(question, request),
                version=version,
                quota_limited=request.quota_limited,
            )
        )

    async def _evaluate(self, question: Question, request: Request) -> list[Evaluation]:
        self._tokens.check(question.token)
        if question.disabled or request.quota_limited:
            return []
        group_types = self._facts.group_types()
        subject = Subject(
            distinct_id=question.distinct_id,
            device_id=question.device_id,
            person_properties={
                **(self._facts.person_properties(question.distinct_id) or {}),
                **question.person_properties,
            },
            group_keys=question.group_keys,
            group_properties=self._group_properties(question, group_types),
            hash_keys=await self._hash_keys(question),
        )
        now = datetime.now(UTC)
        return self._facts.flags.evaluate(subject, group_types, now, question)

    async def _hash_keys(self, question: Question) -> dict[str, str]:
        """What to bucket by, so that a flag stays as it was before the person logged in."""
        continuous = self._facts.flags.continuous
        if not continuous:
            return {}
        anonymous = question.anon_distinct_id
        asked = [question.distinct_id, *([] if anonymous is None else [anonymous])]
        kept = self._facts.hash_keys(asked)
        if anonymous is None:
            return kept
        missing = {key: anonymous for key in continuous if key not in kept}
        if missing:
            await self._facts.keep_hash_keys(question.distinct_id, missing)
        return {**missing, **kept}

    def _group_properties(
        self, question: Question, group_types: Mapping[int, str]
    ) -> dict[str, dict[str, Any]]:
        numbers = {name: index for index, name in group_types.items()}
        return {
            name: {
                **(self._facts.group_properties(numbers[name], key) if name in numbers else {}),
                **question.group_properties.get(name, {}),
            }
            for name, key in question.group_keys.items()
        }


def _version(request: Request, default: int) -> int:
    text = request.query.get("v", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else default


def _unauthorized() -> Response:
    detail = "The API key in the request's Authorization header is invalid."
    return _api_error(401, "authentication_failed", detail, kind="authentication_error")


def _over_quota() -> Response:
    return _api_error(402, "quota_limited", "You have exceeded your feature flag request quota")


def _api_error(status: int, code: str, detail: str, kind: str = "validation_error") -> Response:
    body = {"type": kind, "code": code, "detail": detail, "attr": None}
    return Response(status=status, body=msgspec.json.encode(body))
