"""A submitted form.

Owns reading one within a bound. Never knows what a field means. One invariant: a body that is too
large is refused before more than the bound has been read.
"""

from __future__ import annotations

from urllib.parse import parse_qs

import msgspec
from starlette.requests import Request

#: A form of ours has a dozen short fields.
MAX_FORM_BYTES = 64 * 1024
_MAX_FIELDS = 200


class FormError(Exception):
    """A body that is no form of ours."""


class Form(msgspec.Struct, frozen=True):
    """The fields of a form, with as many values each as were sent.

    >>> form = Form({"topics": ["console", "exception"], "url": [" https://x.example "]})
    >>> form.text("url"), form.all("topics"), form.text("missing")
    ('https://x.example', ['console', 'exception'], '')
    """

    fields: dict[str, list[str]] = {}

    def text(self, name: str) -> str:
        """A field's first value without space around it; empty when it was not sent."""
        return self.fields.get(name, [""])[0].strip()

    def all(self, name: str) -> list[str]:
        """All values of a field."""
        return self.fields.get(name, [])


async def read_form(request: Request) -> Form:
    """The form in a request's body; raises `FormError`."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise FormError(f"A form takes {MAX_FORM_BYTES} bytes at most.")
    try:
        fields = parse_qs(
            body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS, encoding="utf-8"
        )
    except ValueError:
        raise FormError("The body could not be read as a form.") from None
    return Form(fields)
