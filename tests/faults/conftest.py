"""A host and a PostHog Local for each test, as processes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from host_process import HostProcess

from posthog_local.testing import PostHogLocal, running


@pytest.fixture
def local(tmp_path: Path) -> Iterator[PostHogLocal]:
    with running(data=tmp_path / "posthog") as local:
        yield local


@pytest.fixture
def host(tmp_path: Path, local: PostHogLocal) -> Iterator[HostProcess]:
    """The test's app, deployed, sending to `local`."""
    host = HostProcess(tmp_path)
    try:
        host.deploy({"POSTHOG_PROJECT_TOKEN": local.project_token, "POSTHOG_HOST": local.url})
        yield host
    finally:
        host.close()
