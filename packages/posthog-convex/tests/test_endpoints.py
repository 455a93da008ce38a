from __future__ import annotations

import pytest

from posthog_convex.endpoints import (
    BATCH,
    DEFAULT_HOST,
    FLAG_DEFINITIONS,
    normalise_host,
)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        (None, DEFAULT_HOST),
        ("", DEFAULT_HOST),
        ("  ", DEFAULT_HOST),
        ("https://us.i.posthog.com/", "https://us.i.posthog.com"),
        (" https://eu.i.posthog.com// ", "https://eu.i.posthog.com"),
        ("https://app.posthog.com", "https://us.i.posthog.com"),
        ("https://us.posthog.com/", "https://us.i.posthog.com"),
        ("http://EU.posthog.com", "https://eu.i.posthog.com"),
        ("eu.posthog.com", "https://eu.i.posthog.com"),
        ("https://us.i.posthog.com/project/123/settings", "https://us.i.posthog.com"),
        ("https://eu.i.posthog.com/batch/", "https://eu.i.posthog.com"),
        ("https://posthog.example.com/ingest/", "https://posthog.example.com/ingest"),
        ("http://127.0.0.1:8010", "http://127.0.0.1:8010"),
        ("localhost:8010", "http://localhost:8010"),
        ("127.0.0.1:8010/", "http://127.0.0.1:8010"),
        ("[::1]:8010", "http://[::1]:8010"),
        ("posthog.example.com", "https://posthog.example.com"),
    ],
)
def test_hosts_are_normalised(text: str | None, host: str) -> None:
    assert normalise_host(text) == host


def test_addresses_are_made_of_host_path_and_query() -> None:
    assert BATCH.url("https://h") == "https://h/batch/"
    assert (
        FLAG_DEFINITIONS.url("https://h", token="phc_a&b")
        == "https://h/flags/definitions?token=phc_a%26b&send_cohorts"
    )
    assert (
        FLAG_DEFINITIONS.url("https://h", token="phc_a", fallback=True)
        == "https://h/api/feature_flag/local_evaluation?token=phc_a&send_cohorts"
    )
