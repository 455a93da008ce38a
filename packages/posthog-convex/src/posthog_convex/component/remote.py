"""Asking PostHog for flags, as its server SDKs do.

Owns the request, its one retry and what the answers mean. Never decides what a caller gets instead
of an answer. One invariant: there is an answer, or an error that says why there is none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from posthog_convex.component.batches import USER_AGENT
from posthog_convex.endpoints import FLAGS, normalise_host
from pyconvex.delivery import Request, Response, Unreachable

#: What PostHog's SDKs retry, once; everything else is an answer.
_RETRIED = frozenset({502, 504})
_RETRY_PAUSE_S = 0.3


class Send(Protocol):
    """The way out."""

    async def __call__(self, request: Request, *, deadline_s: float) -> Response:
        """Send once. Raises `Unreachable` when no complete response came in time."""


class RemoteFlag(msgspec.Struct, frozen=True):
    """One flag as PostHog evaluated it."""

    value: bool | str
    #: JSON text, None for none.
    payload: str | None = None
    id: int | None = None
    version: int | None = None
    reason: str | None = None


class RemoteAnswer(msgspec.Struct, frozen=True):
    """What PostHog says; `error` says why it says nothing."""

    flags: Mapping[str, RemoteFlag] = {}
    #: Flags that PostHog itself could not evaluate.
    failed: tuple[str, ...] = ()
    error: str | None = None
    request_id: str | None = None


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Whom flags are asked for; properties are JSON values."""

    distinct_id: str
    person_properties: Mapping[str, Any] = {}
    groups: Mapping[str, str] = {}
    group_properties: Mapping[str, Mapping[str, Any]] = {}
    #: None for all flags.
    keys: Sequence[str] | None = None
    disable_geoip: bool = True

    def body(self) -> dict[str, Any]:
        """In the endpoint's words; the ids are properties too, unless others were passed."""
        asked: dict[str, Any] = {
            "distinct_id": self.distinct_id,
            "groups": self.groups,
            "person_properties": {"distinct_id": self.distinct_id, **self.person_properties},
            "group_properties": {
                kind: {"$group_key": key, **self.group_properties.get(kind, {})}
                for kind, key in self.groups.items()
            },
            "geoip_disable": self.disable_geoip,
            "evaluation_runtime": "server",
        }
        return asked if self.keys is None else asked | {"flag_keys_to_evaluate": list(self.keys)}


def flags_request(host: str | None, token: str, question: Question) -> Request:
    """The request that asks PostHog."""
    return Request(
        FLAGS.method,
        FLAGS.url(normalise_host(host)),
        (("Content-Type", "application/json"), ("User-Agent", USER_AGENT)),
        msgspec.json.encode({"token": token.strip(), **question.body()}),
    )


async def ask(
    request: Request, send: Send, timeout_s: float, sleep: Callable[[float], Awaitable[None]]
) -> RemoteAnswer:
    """Send a request, again if need be; never raises for what PostHog or the network does."""
    trouble = ""
    for attempt in range(2):
        if attempt:
            await sleep(_RETRY_PAUSE_S)
        try:
            response = await send(request, deadline_s=timeout_s)
        except Unreachable as error:
            trouble = str(error)
            continue
        if response.status not in _RETRIED:
            return read_answer(response)
        trouble = f"status {response.status}"
    return RemoteAnswer(error=f"PostHog could not be reached: {trouble}")


def read_answer(response: Response) -> RemoteAnswer:
    """The flags of an answer, or what is wrong with it."""
    if response.status != 200:
        return RemoteAnswer(error=_refusal(response))
    try:
        answer = msgspec.json.decode(response.body, type=_Answer)
    except msgspec.MsgspecError:
        return RemoteAnswer(error="the answer is none of PostHog's: check POSTHOG_HOST")
    if "feature_flags" in (answer.quota_limited or ()):
        return RemoteAnswer(
            error="PostHog's quota for flag requests is used up: raise the limit in billing"
        )
    if answer.flags is None and answer.feature_flags is None:
        return RemoteAnswer(error="the answer has no flags: check POSTHOG_HOST")
    if answer.flags is None:
        return _legacy(answer)
    return RemoteAnswer(
        {key: _flag(each) for key, each in answer.flags.items() if not each.failed},
        tuple(key for key, each in answer.flags.items() if each.failed),
        request_id=answer.request_id,
    )


class _Reason(msgspec.Struct):
    code: str | None = None
    description: str | None = None


class _Metadata(msgspec.Struct):
    id: int | None = None
    version: int | None = None
    payload: Any = None


class _Detail(msgspec.Struct):
    enabled: bool = False
    variant: str | None = None
    failed: bool = False
    reason: _Reason | None = None
    metadata: _Metadata | None = None


class _Answer(msgspec.Struct, rename="camel"):
    flags: dict[str, _Detail] | None = None
    #: How servers answered before version 2.
    feature_flags: dict[str, bool | str] | None = None
    feature_flag_payloads: dict[str, Any] | None = None
    quota_limited: list[str] | None = None
    request_id: str | None = None


def _flag(detail: _Detail) -> RemoteFlag:
    metadata = detail.metadata or _Metadata()
    return RemoteFlag(
        value=detail.variant or detail.enabled if detail.enabled else False,
        payload=_payload_text(metadata.payload),
        id=metadata.id,
        version=metadata.version,
        reason=(detail.reason.description or detail.reason.code) if detail.reason else None,
    )


def _legacy(answer: _Answer) -> RemoteAnswer:
    payloads = answer.feature_flag_payloads or {}
    values = answer.feature_flags or {}
    return RemoteAnswer(
        {key: RemoteFlag(v, _payload_text(payloads.get(key))) for key, v in values.items()}
    )


def _payload_text(payload: Any) -> str | None:
    if payload is None or isinstance(payload, str):
        return payload
    return msgspec.json.encode(payload).decode()


def _refusal(response: Response) -> str:
    match response.status:
        case 401 | 403:
            return f"PostHog refused the token ({response.status}): check POSTHOG_PROJECT_TOKEN"
        case 402:
            return "PostHog's quota for flag requests is used up (402): raise the limit in billing"
        case 429:
            return "PostHog asks for fewer flag requests (429): read flags locally where you can"
        case status if status < 500:
            return f"no flags at this address (status {status}): check POSTHOG_HOST"
        case status:
            return f"PostHog could not answer (status {status})"
