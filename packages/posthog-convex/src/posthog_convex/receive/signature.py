"""The signature of a webhook request.

Owns the check. Never parses the body: what is signed are its bytes as they came. One invariant: the
time it takes tells nothing of the right signature.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

HEADER = "x-webhook-signature"
_SCHEME = "sha256="


def is_signed(body: bytes, header: str | None, secrets: Iterable[str]) -> bool:
    """Whether one of the secrets made this signature of these bytes.

    Convex signs with the UTF-8 bytes of the secret's text, which is not decoded as hexadecimal.

    >>> made = "sha256=ad12fdb13ff0ab86ff6c711867d7134adcf79d33f834a741be12988ff846b7e2"
    >>> is_signed(b"[]", made, ["0123456789abcdef0123456789abcdef"])
    True
    """
    if header is None or not header.isascii():
        return False
    given = header.strip().lower().removeprefix(_SCHEME)
    made = [hmac.digest(secret.encode(), body, "sha256").hex() for secret in secrets]
    return any([hmac.compare_digest(given, each) for each in made])
