"""Whom an app trusts to say who calls, as its `auth_config.py` declares, checked.

Owns what a deploy refuses about that. Never reads a variable, and never asks a provider. One
invariant: who signs people in here believes the tokens that come of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType

from pyconvex.functions import AppDefinition, DefinitionError, EnvRef
from pyconvex.functions.auth_config import AuthProvider, OidcProvider, providers_of
from pyconvex.functions.component import RESERVED_VARIABLES
from pyconvex.runtime.app.spec import AuthSpec, ProviderSpec, SettingSpec

_MODULE = "auth_config"


def auth_spec(
    modules: Mapping[str, ModuleType], app: AppDefinition, signing: Sequence[str]
) -> AuthSpec:
    """What `auth_config.py` says; `signing` are the modules that issue tokens of this deployment.

    Raises `DefinitionError`.
    """
    auth = AuthSpec(_providers(modules, app), app.user_id is not None)
    if signing and not any(provider.is_this_deployment for provider in auth.providers):
        raise DefinitionError(
            f"{signing[0]}.py signs people in, and nobody would believe their tokens: put "
            f"OidcProvider.this_deployment() into the `providers` of {_MODULE}.py."
        )
    return auth


def _providers(modules: Mapping[str, ModuleType], app: AppDefinition) -> list[ProviderSpec]:
    module = modules.get(_MODULE)
    if module is None:
        return []
    known = {*app.declared_env, *RESERVED_VARIABLES}
    return [_provider_spec(provider, known) for provider in providers_of(vars(module))]


def _provider_spec(provider: AuthProvider, known: set[str]) -> ProviderSpec:
    def setting(value: str | EnvRef) -> SettingSpec:
        if isinstance(value, str):
            return SettingSpec(literal=value)
        if value.name not in known:
            raise DefinitionError(
                f"{_MODULE}.py refers to the variable {value.name}, which "
                f"convex_config.py does not declare: add it to the `env` of define_app."
            )
        return SettingSpec(source=value.name)

    application_id = provider.application_id
    audience = None if application_id is None else setting(application_id)
    if isinstance(provider, OidcProvider):
        return ProviderSpec(setting(provider.domain), audience)
    return ProviderSpec(
        setting(provider.issuer), audience, setting(provider.jwks), provider.algorithm
    )
