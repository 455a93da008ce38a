"""The variables of a component, as its functions see them.

Owns tracing each to a literal, to a variable of the app, or to an address of the deployment. Never
keeps a value. One invariant: every look at a variable is a read of the transaction.
"""

from __future__ import annotations

from pyconvex.database import Transaction
from pyconvex.functions import EnvironmentView
from pyconvex.functions.component import RESERVED_VARIABLES
from pyconvex.runtime.app.image import ComponentImage
from pyconvex.runtime.settings import addresses


def environment_of(component: ComponentImage, transaction: Transaction) -> EnvironmentView:
    """The variables of a component, the deployment's two addresses among them everywhere."""
    specs = {spec.name: spec for spec in component.env}
    read_app_variable = transaction.namespace("").env

    def read(name: str) -> str | None:
        if name in RESERVED_VARIABLES:
            address = addresses.address(transaction, name)
            below = component.site_prefix if name == addresses.SITE_URL else ""
            return None if address is None else address + below
        spec = specs.get(name)
        if spec is None:
            # The app reads whatever the operator set; a component only what it declares.
            return read_app_variable(name) if component.path == "" else None
        if spec.literal is not None:
            return spec.literal
        return read_app_variable(spec.source) if spec.source is not None else None

    return EnvironmentView([*specs, *sorted(RESERVED_VARIABLES)], read)


def all_variables(component: ComponentImage, transaction: Transaction) -> dict[str, str]:
    """All variables that functions of a component see now."""
    # The app sees whatever the operator set.
    everything = transaction.namespace("").env_all() if component.path == "" else {}
    return everything | dict(environment_of(component, transaction))
