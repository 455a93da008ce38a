"""A submitted form, and the answer that leads back to a page.

Owns no page. A form is read whole, with as many values a field as were sent.
"""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

_MAX_FIELDS = 1000


async def form_fields(request: Request) -> dict[str, list[str]]:
    """The fields of a form, in the order in which they stand in it."""
    body = (await request.body()).decode("utf-8", "replace")
    return parse_qs(body, keep_blank_values=True, max_num_fields=_MAX_FIELDS)


def first(fields: dict[str, list[str]], name: str) -> str:
    """A field's first value, empty when it was not sent."""
    return fields.get(name, [""])[0]


def see_other(path: str) -> Response:
    """Sends the browser to a page after a change, so that reloading repeats nothing."""
    return RedirectResponse(path, 303)


def whole_number(request: Request, name: str) -> int:
    """A number of the address, 0 without a usable one."""
    text = request.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
