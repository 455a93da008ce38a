"""What a server does for its operators, beside serving: deploys, its status, letting them in.

Owns the answers of `pyconvex.http.operations`. Never decides how a deploy is done. One invariant:
what it tells holds no secret, but for the link that an administrator asks for.
"""

from __future__ import annotations

import dataclasses
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

import pyconvex
from pyconvex.companions import CompanionStatus
from pyconvex.dashboard import LINK_LIFE_S, Sessions, sign_in_url
from pyconvex.database import DatabaseError, Transaction, registry
from pyconvex.delivery.messages import LaneStatus
from pyconvex.http.operations import DeleteTables, Upload
from pyconvex.runtime.app.loader import SourceError, check_sources
from pyconvex.runtime.app.spec import AppSpec, ComponentSpec
from pyconvex.runtime.calls import HostError
from pyconvex.runtime.commits.system import SystemTransactions
from pyconvex.runtime.deploys.deploy import Deployer
from pyconvex.runtime.isolates.template_process import AppLoadError
from pyconvex.runtime.settings.environment import MissingVariablesError
from pyconvex.server.audit import AuditLog
from pyconvex.server.settings import Settings
from pyconvex.storage import Store
from pyconvex.storage.layout import PAGE_BYTES


class ServerOperations:
    """Serves `pyconvex deploy` and `pyconvex doctor` (`pyconvex.http.operations.Operator`)."""

    def __init__(
        self,
        deployer: Deployer,
        store: Store,
        system: SystemTransactions,
        audit: AuditLog,
        *,
        settings: Settings,
        queues: Callable[[], list[dict[str, Any]]],
        lanes: Callable[[], tuple[LaneStatus, ...]],
        companions: Callable[[], tuple[CompanionStatus, ...]],
        app: Callable[[], AppSpec | None],
        auth_advice: Callable[[], list[str]],
        sessions: Sessions,
    ) -> None:
        self._deployer = deployer
        self._store = store
        self._system = system
        self._audit = audit
        self._settings = settings
        self._queues = queues
        self._lanes = lanes
        self._companions = companions
        self._app = app
        self._auth_advice = auth_advice
        self._sessions = sessions

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

    async def delete_tables(self, asked: DeleteTables) -> None:
        """Delete tables that the app in force does not declare, in one transaction."""
        app = self._app()
        declared = {
            table.name
            for component in (app.components if app else ())
            if component.path == asked.component
            for table in component.tables
        }

        def delete(tx: Transaction) -> None:
            for name in asked.table_names:
                if name.startswith("_") or not registry.drop_table(tx, asked.component, name):
                    raise HostError(
                        400, "TableNotFound", f"There is no table {name!r}. Nothing was deleted."
                    )

        if kept := sorted(declared.intersection(asked.table_names)):
            raise HostError(
                400,
                "TableInSchema",
                f"The app declares the table {kept[0]!r}. Nothing was deleted: take it out of the "
                "code and deploy that first.",
            )
        await self._system.write(delete)
        self._audit.tell(
            "delete_tables",
            {"component": asked.component or None, "table_names": asked.table_names},
        )

    def status(self) -> dict[str, Any]:
        """The version, the app, the disk, its identity providers, the lanes, the companions."""
        app = self._app()
        data = self._settings.data
        return {
            "version": pyconvex.__version__,
            "python": platform.python_version(),
            "dataFolder": str(data.resolve()),
            "functions": None if app is None else len(app.root.functions),
            "processes": self._deployer.pids,
            "diskFreeBytes": shutil.disk_usage(data).free,
            "databaseBytes": self._store.database.stat().st_size,
            "logBytes": self._store.log_pages * PAGE_BYTES,
            "visibleTs": str(self._store.visible_ts),
            "durableTs": str(self._store.durable_ts),
            "authAdvice": self._auth_advice(),
            "settings": _settings(self._settings),
            "queues": self._queues(),
            "components": [_described(each) for each in app.components] if app else [],
            "lanes": [msgspec.to_builtins(lane) for lane in self._lanes()],
            "companions": [msgspec.to_builtins(each) for each in self._companions()],
        }

    def sign_in_link(self, reached_at: str) -> dict[str, Any]:
        """A link to the dashboard at the address that browsers see, or the one that was asked."""
        return {
            "url": sign_in_url(
                self._sessions, self._settings.cloud_origin or f"http://{reached_at}"
            ),
            "expiresInSeconds": int(LINK_LIFE_S),
        }


def _settings(settings: Settings) -> list[dict[str, Any]]:
    """Every setting that the server runs with, and whether somebody chose it."""
    return [
        {
            "name": field.name,
            "value": str(value),
            "origin": "default" if value == field.default else "the command line",
        }
        for field in dataclasses.fields(settings)
        for value in [getattr(settings, field.name)]
    ]


def _described(component: ComponentSpec) -> dict[str, Any]:
    """A component's declarations; a variable's value, if it stands in the code, is left out."""
    return {
        "path": component.path,
        "lanes": component.lanes,
        "queues": component.queues,
        "variables": [
            {
                "name": spec.name,
                "optional": spec.optional,
                "source": spec.source,
                "inCode": spec.literal is not None,
            }
            for spec in component.env
        ],
    }
