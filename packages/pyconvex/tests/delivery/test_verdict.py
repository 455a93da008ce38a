from __future__ import annotations

import pytest

from pyconvex.delivery import Accepted, Refused, Response, Retry, TooLarge, classify, retry_after_s


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, Accepted),
        (204, Accepted),
        (299, Accepted),
        (300, Retry),
        (301, Retry),
        (400, Refused),
        (401, Retry),
        (402, Retry),
        (403, Retry),
        (404, Retry),
        (408, Retry),
        (413, TooLarge),
        (422, Refused),
        (429, Retry),
        (500, Retry),
        (503, Retry),
        (599, Retry),
    ],
)
def test_only_what_will_never_be_taken_is_refused(status: int, kind: type) -> None:
    assert isinstance(classify(Response(status, {})), kind)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_what_passes_by_itself_is_tried_again_as_the_backoff_has_it(status: int) -> None:
    assert classify(Response(status, {}, b"busy")) == Retry(f"{status}: busy", None)


def test_what_a_person_must_change_is_asked_for_once_a_minute() -> None:
    assert classify(Response(401, {}, b"no\n such  project")) == Retry("401: no such project", 60.0)


def test_a_redirect_says_where_it_leads() -> None:
    answer = Response(308, {"location": "https://logs.example/in"}, b"<html>")
    assert classify(answer) == Retry(
        "308: it leads to https://logs.example/in, and redirects are not followed", 60.0
    )


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": " 30 "}, 30.0),
        ({"retry-after": "99999999999"}, 900.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
        (
            {
                "retry-after": "Wed, 21 Oct 2026 07:28:30 GMT",
                "date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            30.0,
        ),
        (
            {
                "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT",
                "date": "Wed, 21 Oct 2026 07:28:30 GMT",
            },
            0.0,
        ),
        (
            {
                "retry-after": "Wed, 21 Oct 2026 07:28:30 +999999999",
                "date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            None,
        ),
        (
            {
                "retry-after": "Fri, 31 Dec 9999 23:59:59 GMT",
                "date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            900.0,
        ),
        ({"retry-after": "9" * 400}, 900.0),
        (
            {"retry-after": "21 Oct 2026 07:28:00 -0000", "date": "Wed, 21 Oct 2026 07:28:30 GMT"},
            None,
        ),
    ],
)
def test_retry_after_is_read_in_both_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(Response(429, headers)) == seconds
