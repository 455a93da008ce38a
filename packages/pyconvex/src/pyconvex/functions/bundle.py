"""Functions and tables that a library adds to a module of the app.

Owns the bundle, which analysis unpacks where it finds one. Never registers anything by itself. One
invariant: a table that the app declares wins over a bundle's of the same name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyconvex.functions.registration import RegisteredFunction
from pyconvex.functions.schema import Table


@dataclass(frozen=True, slots=True)
class FunctionBundle:
    """What `name = bundle()` at a module's top level adds: functions to that module, and tables.

    In `auth.py` a function with the export name `signIn` is `auth:signIn`. `module` is the name of
    the module that asked for the bundle: where others import it from there, it adds nothing.
    """

    module: str
    functions: Sequence[RegisteredFunction[..., Any]]
    tables: Mapping[str, Table] = field(default_factory=dict)
    #: Whether its functions sign tokens, which the app has to trust to make use of them.
    issues_tokens: bool = False
