"""Log streams: what functions print, how they ran and how the host fares, carried to where you
read such things.

Owns the events in Convex's schema, the kinds of streams that the host brings, and what the author
of another kind imports: this page. Never decides when something is sent; lanes do. One invariant:
an event holds no secret of the deployment: no key, token, header or variable.
"""

from pyconvex.delivery import (
    Accepted,
    Limits,
    Refused,
    Request,
    Response,
    Retry,
    TooLarge,
    Transport,
    Unreachable,
    Verdict,
    classify,
    retry_after_s,
)
from pyconvex.log_streams.deployment import Deployment
from pyconvex.log_streams.events import StreamEvent, event_of, verification
from pyconvex.log_streams.sink import (
    Config,
    ConfigRefused,
    Field,
    NotVerified,
    Sink,
    deliver_once,
    is_url,
)

__all__ = [
    "Accepted",
    "Config",
    "ConfigRefused",
    "Deployment",
    "Field",
    "Limits",
    "NotVerified",
    "Refused",
    "Request",
    "Response",
    "Retry",
    "Sink",
    "StreamEvent",
    "TooLarge",
    "Transport",
    "Unreachable",
    "Verdict",
    "classify",
    "deliver_once",
    "event_of",
    "is_url",
    "retry_after_s",
    "verification",
]
