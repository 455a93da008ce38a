"""A PostHog for each test, as pytest fixtures.

Owns the fixtures and the mark `posthog_flags`; installed packages bring it to every pytest run, so
nothing but pytest is imported until a test asks. One server process a session (a worker, with
xdist); it is empty at the start of each test.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from posthog_local.testing import PostHogLocal

_MARK = "posthog_flags"


def pytest_configure(config: pytest.Config) -> None:
    """Makes the mark known."""
    config.addinivalue_line(
        "markers",
        f"{_MARK}(**values): what flags are for everybody in this test, as posthog_flags(beta=True,"
        " colour='red'); needs the fixture posthog_local",
    )


@pytest.fixture(scope="session")
def posthog_local_server() -> Iterator[PostHogLocal]:
    """The server that this session's tests share; take `posthog_local` to find it empty."""
    from posthog_local.testing import running

    with running() as local:
        yield local


@pytest.fixture
def posthog_local(
    request: pytest.FixtureRequest, posthog_local_server: PostHogLocal
) -> PostHogLocal:
    """An empty PostHog with the flags of the test's mark.

    >>> def test_signing_up(posthog_local):                                      # doctest: +SKIP
    ...     start_my_app(token=posthog_local.project_token, host=posthog_local.url)
    ...     posthog_local.wait_for_event("signed_up", distinct_id="ada", properties={"plan": "pro"})
    """
    posthog_local_server.reset()
    for mark in reversed(list(request.node.iter_markers(_MARK))):  # the closest one is set last
        posthog_local_server.override_flags(**mark.kwargs)
    return posthog_local_server
