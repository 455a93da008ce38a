"""The remote configuration that posthog-js starts with.

Owns which features the browser turns on. What needs a script that posthog-js loads later is on only
when those scripts are there to be served.
"""

from __future__ import annotations

from typing import Any

import msgspec


def remote_config(token: str, *, has_flags: bool, has_scripts: bool) -> dict[str, Any]:
    """The configuration of this project."""
    return {
        "token": token,
        "supportedCompression": ["gzip", "gzip-js"],
        "hasFeatureFlags": has_flags,
        "autocapture_opt_out": False,
        "elementsChainAsString": True,
        "defaultIdentifiedOnly": True,
        "isAuthenticated": False,
        "toolbarParams": {},
        "siteApps": [],
        "analytics": {"endpoint": "/i/v0/e/"},
        "heatmaps": True,
        "captureDeadClicks": has_scripts,
        "surveys": False,
        "productTours": False,
        "conversations": False,
        "capturePerformance": _performance() if has_scripts else False,
        "autocaptureExceptions": has_scripts,
        "errorTracking": {"autocaptureExceptions": has_scripts, "suppressionRules": []},
        "logs": {"captureConsoleLogs": has_scripts},
        "sessionRecording": _recording() if has_scripts else False,
    }


def config_script(token: str, config: dict[str, Any]) -> bytes:
    """The script form of the configuration, which sets the global that posthog-js reads."""
    entry = msgspec.json.encode({token: {"config": config, "siteApps": []}})
    # Inside a script element `</` could end it, and these two separators once ended a line.
    safe = entry.replace(b"<", b"\\u003c")
    name = b"window._POSTHOG_REMOTE_CONFIG"
    return b"(function(){%s=Object.assign(%s||{},%s)})();" % (name, name, safe)


def _performance() -> dict[str, Any]:
    return {"network_timing": True, "web_vitals": True, "web_vitals_allowed_metrics": None}


def _recording() -> dict[str, Any]:
    return {
        "endpoint": "/s/",
        "consoleLogRecordingEnabled": True,
        "recorderVersion": "v2",
        "sampleRate": None,
        "minimumDurationMilliseconds": None,
        "linkedFlag": None,
        "networkPayloadCapture": {"recordBody": True, "recordHeaders": True},
        "masking": None,
        "urlTriggers": [],
        "urlBlocklist": [],
        "eventTriggers": [],
        "triggerMatchType": None,
        "recordCanvas": False,
        "canvasFps": None,
        "canvasQuality": None,
        "scriptConfig": {"script": "lazy-recorder"},
    }
