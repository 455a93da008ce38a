"""What the tests of a module share: a deployment with isolates, a model server, a PostHog Local."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from model_server import ModelServer, running_model
from traced import HERE, Deployment, Traces

from posthog_local.testing import PostHogLocal
from posthog_local.testing import running as running_local


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with running_model() as server:
        yield server


@pytest.fixture(scope="module")
def local() -> Iterator[PostHogLocal]:
    with running_local() as server:
        yield server


@pytest.fixture(scope="module")
def traces(local: PostHogLocal) -> Traces:
    return Traces(local)


@pytest.fixture(scope="module")
def deployment(
    model: ModelServer, local: PostHogLocal, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    data = tmp_path_factory.mktemp("data")
    with Deployment(
        HERE / "app",
        data,
        POSTHOG_PROJECT_TOKEN=local.project_token,
        POSTHOG_HOST=local.url,
        OPENAI_BASE_URL=model.url,
        ANTHROPIC_BASE_URL=model.url,
    ) as deployed:
        yield deployed
