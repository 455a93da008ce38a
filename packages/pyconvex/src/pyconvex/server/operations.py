"""What a server does for its operators, beside serving: deploys that arrive, and its status.

Owns the answers of `pyconvex.http.operations`. Never decides how a deploy is done. One invariant:
what it tells holds no secret.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

import pyconvex
from pyconvex.database import DatabaseError
from pyconvex.delivery.messages import LaneStatus
from pyconvex.http.operations import Upload
from pyconvex.runtime.calls import HostError
from pyconvex.runtime.deploy import Deployer
from pyconvex.runtime.environment import MissingVariablesError
from pyconvex.runtime.loader import SourceError, check_sources
from pyconvex.runtime.spec import AppSpec, ComponentSpec
from pyconvex.runtime.template_process import AppLoadError
from pyconvex.storage import Store
from pyconvex.storage.layout import PAGE_BYTES


class ServerOperations:
    """Serves `pyconvex deploy` and `pyconvex doctor` (`pyconvex.http.operations.Operator`)."""

    def __init__(
        self,
        deployer: Deployer,
        store: Store,
        *,
        data: Path,
        lanes: Callable[[], tuple[LaneStatus, ...]],
        app: Callable[[], AppSpec | None],
        auth_advice: Callable[[], list[str]],
    ) -> None:
        self._deployer = deployer
        self._store = store
        self._data = data
        self._lanes = lanes
        self._app = app
        self._auth_advice = auth_advice

    async def deploy(self, upload: Upload) -> dict[str, Any]:
        """Put the uploaded app into force. Until it is, the one that was goes on."""
        try:
            check_sources(upload.sources, upload.folder)
            spec = await self._deployer.deploy(upload.sources, Path(upload.folder))
        except MissingVariablesError as error:
            raise HostError(400, "MissingEnvironmentVariables", str(error)) from None
        except (SourceError, AppLoadError, DatabaseError) as error:
            raise HostError(400, "DeployFailed", f"Not deployed: {error}") from None
        return {
            "functions": len(spec.root.functions),
            "tables": len(spec.root.tables),
            "components": [component.path for component in spec.components if component.path],
        }

    def status(self) -> dict[str, Any]:
        """The version, the app, the disk, its identity providers, the lanes."""
        app = self._app()
        disk = shutil.disk_usage(self._data)
        return {
            "version": pyconvex.__version__,
            "python": platform.python_version(),
            "dataFolder": str(self._data.resolve()),
            "functions": None if app is None else len(app.root.functions),
            "processes": self._deployer.pids,
            "diskFreeBytes": disk.free,
            "databaseBytes": self._store.database.stat().st_size,
            "logBytes": self._store.log_pages * PAGE_BYTES,
            "visibleTs": str(self._store.visible_ts),
            "durableTs": str(self._store.durable_ts),
            "authAdvice": self._auth_advice(),
            "components": [_described(each) for each in app.components] if app else [],
            "lanes": [msgspec.to_builtins(lane) for lane in self._lanes()],
        }


def _described(component: ComponentSpec) -> dict[str, Any]:
    """A component's declarations; a variable's value, if it stands in the code, is left out."""
    return {
        "path": component.path,
        "lanes": component.lanes,
        "queues": component.queues,
        "variables": [
            {"name": spec.name, "optional": spec.optional, "source": spec.source}
            for spec in component.env
        ],
    }
