"""Analysing an app: from imported modules to what they define.

Owns the walk over modules and mounted components. Never touches the database. One invariant: the
image (live functions, for isolates) and the spec (values, for the server) come from one walk, so
that they can't disagree.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from pyconvex.functions import (
    AppDefinition,
    ComponentDefinition,
    DefinitionError,
    Document,
    EnvRef,
    FunctionBundle,
    FunctionReference,
    HttpRouter,
    Mount,
    RegisteredFunction,
    Schema,
)
from pyconvex.functions.schema import Table, collect_schema
from pyconvex.runtime.app.auth_analysis import auth_spec
from pyconvex.runtime.app.cron_analysis import cron_specs
from pyconvex.runtime.app.image import AppImage, ComponentImage
from pyconvex.runtime.app.imports import check_imports
from pyconvex.runtime.app.loader import APP_PACKAGE, load_app
from pyconvex.runtime.app.spec import (
    AppSpec,
    ComponentSpec,
    EnvSpec,
    FunctionSpec,
    HttpSpec,
    RouteSpec,
    TableSpec,
)

_CONFIG_MODULE = "convex_config"
_SCHEMA_MODULE = "schema"
_HTTP_MODULE = "http"


def analyse(
    sources: Mapping[str, str],
    folder: str,
    package: str = APP_PACKAGE,
    on_module: Callable[[str], None] = lambda path: None,
) -> AppImage:
    """Import the app and describe it; `on_module` hears of each file before it is imported.

    Raises `DefinitionError`, `MissingImportsError` or whatever a module raises.
    """
    version = _hash(f"{path}\0{text}" for path, text in sorted(sources.items()))
    try:
        modules = load_app(sources, folder, package, on_module)
    except ModuleNotFoundError:
        check_imports(sources, folder)
        raise
    return describe(modules, version)


def describe(modules: Mapping[str, ModuleType], version: str) -> AppImage:
    """Describe an app by its imported modules, keyed by path. Raises `DefinitionError`."""
    app = _app_definition(modules)
    images: dict[str, ComponentImage] = {}
    specs: list[ComponentSpec] = []
    env = tuple(
        EnvSpec(name, validator.json(), validator.is_optional, source=name)
        for name, validator in app.declared_env.items()
    )
    _add(_Instance("", (app,), modules, version, env, app.http_prefix, ""), images, specs)
    signing = [
        path
        for path, module in modules.items()
        if any(bundle.issues_tokens for bundle in _bundles(module))
    ]
    auth = auth_spec(modules, app, signing)
    return AppImage(
        images,
        AppSpec(specs, auth, app.session_header),
        app.user_id,
        app.report_variables,
        tuple(modules.values()),
    )


@dataclass(frozen=True, slots=True)
class _Instance:
    """The app, or a component where it is mounted."""

    path: str
    #: Its definition, last, and those that it is mounted in.
    definitions: tuple[ComponentDefinition, ...]
    modules: Mapping[str, ModuleType]
    version: str
    env: tuple[EnvSpec, ...]
    http_prefix: str | None
    #: Where its routes begin on the site, without `/` at the end; None where none is reachable.
    site_prefix: str | None

    @property
    def definition(self) -> ComponentDefinition:
        return self.definitions[-1]


def _app_definition(modules: Mapping[str, ModuleType]) -> AppDefinition:
    config = modules.get(_CONFIG_MODULE)
    if config is None:
        return AppDefinition(name="", functions=None, declared_env={})
    app = getattr(config, "app", None)
    if not isinstance(app, AppDefinition):
        raise DefinitionError(
            f"{_CONFIG_MODULE}.py must define `app`: write app = define_app(…) at its top level."
        )
    return app


def _mounted(mount: Mount, parent: _Instance) -> _Instance:
    component = mount.component
    if any(component is outer for outer in parent.definitions):
        names = " → ".join(repr(d.name) for d in (*parent.definitions[1:], component))
        raise DefinitionError(
            f"A component is mounted within itself: {names}. Remove one of these use(…)."
        )
    modules = _component_modules(component)
    env = _resolve_env(component, mount.env, parent.env)
    site_prefix = None
    if mount.http_prefix is not None and parent.site_prefix is not None:
        site_prefix = parent.site_prefix + mount.http_prefix.rstrip("/")
    return _Instance(
        path=f"{parent.path}/{mount.name}".lstrip("/"),
        definitions=(*parent.definitions, component),
        modules=modules,
        version=_component_version(modules, env, site_prefix),
        env=env,
        http_prefix=mount.http_prefix,
        site_prefix=site_prefix,
    )


def _component_modules(component: ComponentDefinition) -> dict[str, ModuleType]:
    assert component.functions is not None
    package = importlib.import_module(component.functions)
    if not hasattr(package, "__path__"):
        raise DefinitionError(
            f"Component {component.name!r}: {component.functions} is a module; give the package "
            "that holds the function modules."
        )
    names = [m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")]
    return {
        name: importlib.import_module(f"{component.functions}.{name}") for name in sorted(names)
    }


def _component_version(
    modules: Mapping[str, ModuleType], env: tuple[EnvSpec, ...], site_prefix: str | None
) -> str:
    """Names the component's code and what its functions see as variables."""
    code = [Path(m.__file__).read_text("utf-8") for m in modules.values() if m.__file__]
    return _hash([*code, repr(env), repr(site_prefix)])


def _resolve_env(
    component: ComponentDefinition,
    bound: Mapping[str, EnvRef | str],
    parent_env: tuple[EnvSpec, ...],
) -> tuple[EnvSpec, ...]:
    """Follow each binding down to a literal or an app-level variable."""
    parents = {spec.name: spec for spec in parent_env}
    resolved = []
    for name, validator in component.declared_env.items():
        binding = bound.get(name)
        source = literal = None
        if isinstance(binding, str):
            literal = binding
        elif isinstance(binding, EnvRef):
            source, literal = parents[binding.name].source, parents[binding.name].literal
        resolved.append(EnvSpec(name, validator.json(), validator.is_optional, source, literal))
    return tuple(resolved)


def _add(
    instance: _Instance, images: dict[str, ComponentImage], specs: list[ComponentSpec]
) -> None:
    """Add an instance, and after it everything that is mounted in it."""
    path, definition, modules = instance.path, instance.definition, instance.modules
    functions = _functions(modules)
    schema = collect_schema(
        definition.schema or _explicit_schema(modules), _document_classes(modules)
    )
    schema = Schema({**_bundled_tables(modules), **schema.tables})
    router = _router(modules)
    images[path] = ComponentImage(
        path,
        instance.version,
        functions,
        schema,
        instance.env,
        frozenset(definition.open_queues),
        {route.name: route.action for route in router.routes} if router else {},
        instance.site_prefix or "",
    )
    specs.append(
        ComponentSpec(
            path=path,
            version=instance.version,
            functions=[_function_spec(name, f) for name, f in sorted(functions.items())],
            env=list(instance.env),
            tables=[
                TableSpec(
                    name,
                    {k: list(fields) for k, fields in table.indexes.items()},
                    _hash([repr(table.validator)]) if table.enforced else "",
                    {k: list(fields) for k, fields in table.staged.items()},
                    table.validator.json(),
                )
                for name, table in sorted(schema.tables.items())
            ],
            queues=list(definition.queues),
            lanes=list(definition.lanes),
            crons=cron_specs(modules, functions),
            http=_http_spec(instance, router),
        )
    )
    for mount in definition.mounts:
        _add(_mounted(mount, instance), images, specs)


def _router(modules: Mapping[str, ModuleType]) -> HttpRouter | None:
    module = modules.get(_HTTP_MODULE)
    if module is None:
        return None
    router = getattr(module, "http", None)
    if not isinstance(router, HttpRouter):
        raise DefinitionError(
            f"{_HTTP_MODULE}.py must define `http`: write http = http_router() at its top level, "
            "or give the file another name if it has no routes."
        )
    return router


def _http_spec(instance: _Instance, router: HttpRouter | None) -> HttpSpec | None:
    """How this instance answers HTTP requests: itself, or what is mounted in it."""
    if router is None and not any(mount.http_prefix for mount in instance.definition.mounts):
        if instance.path and instance.http_prefix is not None:
            raise DefinitionError(
                f"Component {instance.path!r} is mounted with the http_prefix "
                f"{instance.http_prefix!r} and has no HTTP routes: remove http_prefix from use(…)."
            )
        return None
    routes = (
        [RouteSpec(r.method, r.path, r.prefix, r.name) for r in router.routes] if router else []
    )
    return HttpSpec(routes, instance.http_prefix)


def _functions(modules: Mapping[str, ModuleType]) -> dict[str, RegisteredFunction[..., object]]:
    functions: dict[str, RegisteredFunction[..., object]] = {}
    for module_path, module in modules.items():
        for value in _registered(module):
            reference = FunctionReference(module_path, value.export_name)
            known = functions.get(reference.path)
            if known is not None and known is not value:
                raise DefinitionError(f"{module_path}.py exports {value.export_name!r} twice.")
            value.reference = reference
            functions[reference.path] = value
    return functions


def _registered(module: ModuleType) -> Iterator[RegisteredFunction[..., object]]:
    """The functions that a module defines, not those that it imports, and those of its bundles."""
    for value in vars(module).values():
        if isinstance(value, RegisteredFunction) and value.__module__ == module.__name__:
            yield value
    for bundle in _bundles(module):
        yield from bundle.functions


def _bundles(module: ModuleType) -> list[FunctionBundle]:
    """The bundles that a module asked for, not those that it imports from another one."""
    bundles = [value for value in vars(module).values() if isinstance(value, FunctionBundle)]
    return [bundle for bundle in bundles if bundle.module == module.__name__]


def _bundled_tables(modules: Mapping[str, ModuleType]) -> dict[str, Table]:
    return {
        name: table
        for module in modules.values()
        for bundle in _bundles(module)
        for name, table in bundle.tables.items()
    }


def _explicit_schema(modules: Mapping[str, ModuleType]) -> Schema | None:
    schema = getattr(modules.get(_SCHEMA_MODULE), "schema", None)
    return schema if isinstance(schema, Schema) else None


def _document_classes(modules: Mapping[str, ModuleType]) -> list[type[Document]]:
    return [
        value
        for module in modules.values()
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, Document)
        and value is not Document
        and value.__module__ == module.__name__
    ]


def _function_spec(path: str, function: RegisteredFunction[..., object]) -> FunctionSpec:
    return FunctionSpec(
        path, function.kind.wire, function.public, function.args.json(), function.returns.json()
    )


def _hash(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode())
    return digest.hexdigest()[:32]
