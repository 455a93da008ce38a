"""The errors that an app author raises or sees.

Owns `ConvexError`, the one exception whose data reaches the client, and the developer errors that a
wrong call produces. Never holds wire formats: the edges turn these into envelopes.
"""

from __future__ import annotations

from pyconvex.values import Value, codec


class ConvexError(Exception):
    """An error that your function throws on purpose, with data that the client receives.

    `data` is any Convex value; official clients rethrow it as their own `ConvexError` with the same
    data. Raised in a mutation it rolls the mutation back, like every other exception.

    >>> ConvexError({"code": "NOT_FOUND"}).data
    {'code': 'NOT_FOUND'}
    >>> str(ConvexError("Not authenticated"))
    'Not authenticated'
    """

    def __init__(self, data: Value) -> None:
        self.data = data
        super().__init__(data if isinstance(data, str) else codec.encode(data).decode())


class DefinitionError(Exception):
    """The app's code declares something that can't be deployed; the message says where and the
    fix.
    """


class FunctionCallError(Exception):
    """A call that could not start: unknown function, wrong kind, or arguments that don't
    validate.
    """


class CredentialRefused(Exception):
    """The caller of an HTTP action showed a credential that is not valid; the message says why.

    Raised where the identity is asked for: an action that doesn't ask runs for everybody.
    """


class ClientDisconnected(Exception):
    """The client of an HTTP action left before all of its request had arrived."""


class RequestTooLarge(Exception):
    """The body of a request to an HTTP action is over 20 MiB; what is left of it is not read.

    Uncaught, the client gets the status 413.
    """
