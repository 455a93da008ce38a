"""Why a client's queries are run."""

from __future__ import annotations

import itertools

import msgspec

from pyconvex.identity import ANONYMOUS, User
from pyconvex.sync.messages import Add
from pyconvex.sync.queryset import QuerySet
from pyconvex.sync.results import ResultEncoder

ADA = User(
    token_identifier="https://issuer|ada",
    issuer="https://issuer",
    subject="ada",
    attributes=b"{}",
)


def test_a_query_is_opened_for_its_subscription_and_again_for_another_identity() -> None:
    numbers = itertools.count()
    encoder = ResultEncoder(redact=False, new_request_id=lambda: "id")
    queries = QuerySet(encoder, new_request_id=lambda: f"run{next(numbers)}")
    queries.add(Add(1, "notes:list", msgspec.Raw(b"[{}]")))
    (first,) = queries.begin(ANONYMOUS, 0, 0).opening
    assert queries.begin(ANONYMOUS, 0, 0).opening == ()
    queries.add(Add(2, "notes:count", msgspec.Raw(b"[{}]")))
    again = queries.begin(ADA, 1, 0).opening
    assert first.call.origin == "webSocket"
    assert [(opening.call.path, opening.call.origin) for opening in again] == [
        ("notes:list", "identityChange"),
        ("notes:count", "webSocket"),
    ]
    assert [opening.call.identity for opening in again] == [ADA, ADA]
