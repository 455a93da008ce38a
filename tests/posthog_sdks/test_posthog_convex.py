"""The official npm `@posthog/convex`, unchanged, on `convex-test`, against PostHog Local."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from nodes import HERE

from posthog_local.testing import PostHogLocal

pytestmark = pytest.mark.usefixtures("_npm_packages")


def test_an_app_captures_identifies_and_reads_flags(local: PostHogLocal) -> None:
    local.set_flag("colour", variants={"red": 100}, payloads={"red": {"hex": "#f00"}})
    environment = {
        **os.environ,
        "POSTHOG_HOST": local.url,
        "POSTHOG_PROJECT_TOKEN": local.project_token,
        "POSTHOG_PERSONAL_API_KEY": local.personal_api_key,
    }
    done = subprocess.run(
        ["node", "convex_driver.mjs"],
        cwd=HERE,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    flags = {"featureFlags": {"colour": "red"}, "featureFlagPayloads": {"colour": {"hex": "#f00"}}}
    assert json.loads(done.stdout) == {"local": flags, "remote": flags}
    order = local.wait_for_event("order_placed", distinct_id="ada")
    assert order["properties"]["$lib"] == "posthog-convex"
    assert order["properties"]["total"] == 12.5
    assert order["properties"]["$groups"] == {"company": "acme"}
    person = local.person("ada")
    assert person is not None
    assert (person["distinct_ids"], person["properties"]["plan"]) == (["ada", "anon-1"], "pro")
    exception = local.wait_for_event("$exception", distinct_id="ada")
    assert exception["properties"]["$exception_values"] == ["no stock"]
    assert local.issues()[0]["name"] == "TypeError"
    group = local.wait_for_event("$groupidentify")
    assert group["properties"]["$group_set"] == {"size": 7}
    assert local.warnings() == []
