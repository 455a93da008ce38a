"""What operators change, told to log streams.

Owns the form of an audit event. Never keeps one by itself: the run log does. One invariant: an
event names what was changed, and holds no value of a variable, no key and no secret.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from pyconvex.log_streams import topics
from pyconvex.runlog.log import RunLog
from pyconvex.runtime.app.spec import AppSpec


def deployed(spec: AppSpec) -> dict[str, Any]:
    """What a deploy put into force."""
    return {
        "functions": sum(len(component.functions) for component in spec.components),
        "components": [component.path for component in spec.components if component.path],
    }


class AuditLog:
    """Tells of changes of one deployment, in Convex's words."""

    def __init__(
        self, run_log: RunLog, now_ms: Callable[[], float] = lambda: time.time() * 1000
    ) -> None:
        self._run_log = run_log
        self._now_ms = now_ms

    def tell(self, action: str, metadata: Mapping[str, Any]) -> None:
        """Something was changed: an action such as "push_config", and what it was about."""
        self._run_log.tell(
            topics.entry_kind(topics.AUDIT_LOG),
            {
                "topic": topics.AUDIT_LOG,
                "timestamp": int(self._now_ms()),
                "audit_log_action": action,
                "audit_log_metadata": msgspec.json.encode(metadata).decode(),
            },
        )
