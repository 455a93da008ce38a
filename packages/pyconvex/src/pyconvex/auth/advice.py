"""What whoever runs a deployment should know about its identity providers.

Owns the texts that `doctor` shows. Never fetches or verifies anything. One invariant: a text names
variables, never their values.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyconvex.functions.auth_config import url_mistake
from pyconvex.runtime.app.spec import AuthSpec
from pyconvex.runtime.settings.trust import Resolved


def advice(auth: AuthSpec, providers: Sequence[Resolved], *, has_key: bool) -> list[str]:
    """What is wrong or easily overlooked; empty when all is well.

    `auth` is what the app in force declares, `providers` the same with variables looked up, and
    `has_key` whether this deployment knows the public half of its own key.
    """
    found: list[str] = []
    foreign = 0
    for number, (declared, provider) in enumerate(zip(auth.providers, providers, strict=True), 1):
        name = f"Provider {number} of auth_config.py"
        foreign += not declared.is_this_deployment
        if provider.missing:
            names = " and ".join(provider.missing)
            found.append(f"{name} is off: set {names} with `pyconvex env set`.")
            continue
        for what, url in (("jwks", provider.jwks), ("domain", _domain(provider))):
            mistake = url_mistake(url) if url and not url.startswith("data:") else None
            if mistake is not None:
                found.append(f"{name} can't be asked for its keys: its {what} {mistake}.")
        if provider.jwks is not None and provider.application_id is None:
            found.append(
                f"{name} accepts tokens for every audience, also those that its issuer made for "
                "other apps: give it an application_id."
            )
        if declared.is_this_deployment and not has_key:
            found.append(
                f"{name} is this deployment, whose variable JWKS is not set: set it together with "
                "JWT_PRIVATE_KEY, or remove that too and deploy again for a new key."
            )
    if foreign and not auth.user_id_rule:
        found.append(
            "ctx.user_id is the subject of a token, for lack of a rule. Where your frontend "
            "identifies people to PostHog by something else, say so with define_app(user_id=…), "
            "or one person becomes two."
        )
    return found


def _domain(provider: Resolved) -> str | None:
    return provider.issuer if provider.jwks is None else None
