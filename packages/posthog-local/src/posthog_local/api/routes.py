"""Every route of PostHog's API, put together.

Owns their order alone: a path that names something stands before one that takes any name.
"""

from __future__ import annotations

from collections.abc import Iterable

from posthog_local.api.cohorts import CohortApi
from posthog_local.api.definitions import DefinitionApi
from posthog_local.api.door import Door
from posthog_local.api.experiments import ExperimentApi
from posthog_local.api.flags import FlagApi
from posthog_local.api.issues import IssueApi
from posthog_local.api.logs import LogApi
from posthog_local.api.people import PeopleApi
from posthog_local.api.project import ProjectApi
from posthog_local.api.recordings import RecordingApi
from posthog_local.http.router import Endpoint
from posthog_local.http.secrets import Secrets
from posthog_local.query.analyst import Analyst
from posthog_local.store.store import Store


def api_endpoints(
    store: Store, analyst: Analyst, secrets: Secrets, project_token: str
) -> Iterable[Endpoint]:
    """Endpoints over the store, which `secrets` open."""
    door = Door(store, secrets)
    yield from FlagApi(store).endpoints(door)
    yield from ExperimentApi(store).endpoints(door)
    yield from CohortApi(store).endpoints(door)
    yield from PeopleApi(store).endpoints(door)
    yield from DefinitionApi().endpoints(door)
    yield from IssueApi(store).endpoints(door)
    yield from RecordingApi().endpoints(door)
    yield from LogApi(store).endpoints(door)
    yield from ProjectApi(store, analyst, project_token).endpoints(door)
