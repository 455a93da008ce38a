"""Why a sync stopped, as a sentence: what happened, what was kept, what to do.

Owns the error that leaves this room and the words for what Convex refuses. Never holds a key, nor
anything of a request but its path. Invariant: every refusal has all three parts.
"""

from __future__ import annotations

KEPT = (
    "The tables are as the last published snapshot left them, and the next run goes on from the"
    " last page that was kept"
)


class SyncRefused(Exception):
    """A sync that cannot go on. `str()` is the whole sentence; the parts are there beside it.

    `code` is Convex's own code, or one of ours in snake_case where Convex said nothing.

    >>> str(SyncRefused("no_answer", "Nobody answers", "Is it running?"))
    'Nobody answers. The tables are as the last published snapshot left them, ... Is it running?'
    """

    def __init__(self, code: str, happened: str, to_do: str, *, kept: str = KEPT) -> None:
        happened = happened.rstrip(". ")  # others' words may end as sentences do
        super().__init__(f"{happened}. {kept}. {to_do}")
        self.code = code
        self.happened = happened
        self.kept = kept
        self.to_do = to_do


_WORDS: dict[str, tuple[str, str]] = {
    "StreamingExportNotEnabled": (
        "This deployment's plan has no streaming export",
        "Convex Cloud offers it from the Pro plan on, self-hosted deployments always. Change the"
        " plan, or wait a minute if you just did.",
    ),
    "OperationNotPermitted": (
        "The key may not read this deployment's tables",
        "Make a deploy key that has the permission deployment:data:view, and give that one.",
    ),
    "BadDeployKey": (
        "The deployment does not know this key",
        "Check that the key belongs to this very deployment (development, preview and production"
        " have their own), and that it has not been revoked.",
    ),
    "BadAdminKey": (
        "The deployment does not know this key",
        "`pyconvex start` says where its admin key is; a key of another data folder does not fit.",
    ),
    "InvalidAdminKey": (
        "What is given as the key is none: a key has a name, a bar and a secret",
        "Copy it whole, in quotes: to a shell the bar in it is a pipe. That of a host of pyconvex"
        " is in the file admin_key of its data folder.",
    ),
    "InvalidDataSyncSelection": (
        "The deployment does not take this choice of tables and columns",
        "Check `tables` in the configuration; `_id` has to stay included.",
    ),
    "InvalidDataSyncCursor": (
        "The deployment does not know the position where the last run stopped",
        "The destination was filled from another deployment, or this one was restored from a"
        " backup. `run --fresh` reads everything again beside the old tables, then replaces them.",
    ),
}


def refused_by_convex(status: int, code: str, message: str) -> SyncRefused:
    """The sentence for an error answer that no repetition mends.

    >>> refused_by_convex(403, "BadDeployKey", "").happened
    'The deployment does not know this key'
    """
    if code in _WORDS:
        happened, to_do = _WORDS[code]
        return SyncRefused(code, happened, to_do)
    if status in (401, 403) and code:
        return SyncRefused(
            code,
            f"The deployment refused the key ({code}: {message})",
            "Check that it is a deploy key or an admin key of this deployment.",
        )
    if status in (301, 302, 303, 307, 308):
        return SyncRefused(
            "redirected",
            "The address leads elsewhere, and a key is not carried along",
            "Give the address that the deployment itself answers, without a redirect.",
        )
    if not code:
        return SyncRefused(
            "not_convex",
            f"What answers at this address, with {status}, is no Convex deployment, or one without"
            " streaming export",
            "Give the deployment's address, such as https://happy-animal-123.convex.cloud or"
            " http://127.0.0.1:3210, not the one of its site or dashboard. If it is the right one,"
            " something between here and there answers in its place, such as a proxy.",
        )
    return SyncRefused(
        code,
        f"The deployment answered {status} {code}: {message}",
        "Mend what it says, then run it again.",
    )


def gone(reason: str, attempts: int) -> SyncRefused:
    """The sentence for a deployment that does not answer, or no longer."""
    to_do = "Check the address and that it is running, then run it again."
    if "CERTIFICATE" in reason:
        to_do = "Name the certificates to trust as `ca_file`, or mend the deployment's."
    elif "WRONG_VERSION_NUMBER" in reason:
        to_do = "Give the address with http://, if that is what it speaks."
    return SyncRefused(
        "no_answer", f"The deployment does not answer ({reason}; {attempts} attempts)", to_do
    )


def corrupt(what: str) -> SyncRefused:
    """The sentence for an answer that is not what was asked for."""
    return SyncRefused(
        "corrupt_page",
        f"An answer of the deployment cannot be read: {what}",
        "Run it again. If it happens again, something between here and the deployment changes"
        " answers, such as a proxy.",
    )


def newer() -> SyncRefused:
    """The sentence for a destination that a later version of this package has written."""
    return SyncRefused(
        "newer_destination",
        "A newer version of posthog-convex has written this destination",
        "Update posthog-convex here, or give another destination.",
        kept="It was left as it is",
    )
