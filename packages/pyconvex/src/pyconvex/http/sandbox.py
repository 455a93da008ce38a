"""Pages that the app serves on the API's port, kept apart from what else is on that origin.

Owns the header that does it. Never looks into a response. One invariant: a page below `/http` runs
as of no origin, so a mistake in it, such as text that is shown as HTML, reads nothing of the
dashboard and uses none of its sessions. On the port of HTTP actions pages have an origin.
"""

from __future__ import annotations

from starlette.types import Message, Send

#: All that a page may do, but be of this origin.
POLICY = (
    b"sandbox allow-downloads allow-forms allow-modals allow-popups "
    b"allow-popups-to-escape-sandbox allow-scripts allow-top-navigation-by-user-activation"
)


def sandboxed(send: Send) -> Send:
    """Send responses with the header; what is no page is read as before."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (b"content-security-policy", POLICY)]
            message = {**message, "headers": headers}
        await send(message)

    return sent
