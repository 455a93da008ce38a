"""The one error of a query: what cannot be answered, said so that the asker can change it.

Owns no rule. Its message is shown as it is.
"""

from __future__ import annotations


class QueryRefused(Exception):
    """The query is not understood, not supported, or took too long; the message says which."""
