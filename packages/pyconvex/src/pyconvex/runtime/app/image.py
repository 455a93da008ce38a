"""An app as processes that run it hold it: live functions, by component.

Owns what a run looks functions up in. Never finds them itself: analysis does. One invariant: an
image doesn't change after its processes were forked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType

from pyconvex.functions import HttpAction, RegisteredFunction, Schema
from pyconvex.functions.component import UserIdRule
from pyconvex.runlog.hooks import IsolateHook, load_hooks
from pyconvex.runtime.app.spec import AppSpec, EnvSpec


@dataclass(frozen=True, slots=True)
class ComponentImage:
    """One component instance with its live functions."""

    path: str
    #: What the database must say is deployed at `path` for this code to run.
    version: str
    functions: Mapping[str, RegisteredFunction[..., object]]
    schema: Schema
    env: tuple[EnvSpec, ...]
    #: Queues that functions of the component around it may append to.
    open_queues: frozenset[str] = frozenset()
    #: What answers HTTP requests, by the names of routes.
    http: Mapping[str, HttpAction] = field(default_factory=dict)
    #: Where its routes begin on the site, without `/` at the end.
    site_prefix: str = ""


@dataclass(frozen=True, slots=True)
class AppImage:
    """The analysed app: live functions by component path."""

    components: Mapping[str, ComponentImage]
    spec: AppSpec
    #: Which person an identity is; None leaves it at the subject.
    user_id: UserIdRule | None = None
    #: Whether reports of errors show local variables.
    report_variables: bool = False
    #: The app's own modules.
    modules: tuple[ModuleType, ...] = ()
    #: What other packages do around each call.
    hooks: tuple[IsolateHook, ...] = ()

    def hooked(self) -> AppImage:
        """The same, with the hooks of installed packages; before the process is forked."""
        return replace(self, hooks=load_hooks(self.modules))
