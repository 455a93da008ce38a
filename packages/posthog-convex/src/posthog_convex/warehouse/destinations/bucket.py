"""A place in an S3-compatible bucket, where whole objects are put.

Owns the connection and the words for its failures. Credentials come from the environment as AWS_…,
and never leave in an error. Invariant: an object is there whole or not at all, so a reader finds
the one that was or the one that is.
"""

from __future__ import annotations

import ctypes
import os
import re
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from posthog_convex.warehouse.refusal import SyncRefused

if TYPE_CHECKING:
    from pyarrow.fs import S3FileSystem

#: What a store may repeat in an error of what it was sent.
_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_LONGEST_REASON = 300
_PIECE_BYTES = 8 * 1024 * 1024


class Bucket:
    """Objects below `s3://bucket/prefix`, by names that are relative to it."""

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        self._connection: S3FileSystem | None = None

    def get(self, name: str) -> bytes | None:
        """An object's content; None where there is none."""
        try:
            with self._files().open_input_stream(self._at(name)) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def put(self, name: str, path: Path) -> None:
        """Put a file's content, in place of what was."""
        stream = self._files().open_output_stream(self._at(name))
        try:
            with path.open("rb") as file:
                while piece := file.read(_PIECE_BYTES):
                    stream.write(piece)
                    stream.flush()  # what is not sent yet waits in memory
        except BaseException:
            # A stream that is closed, or collected, makes an object of what it was given so far.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(stream))
            raise
        stream.close()

    def names(self) -> list[str]:
        """Every object's name."""
        from pyarrow.fs import FileSelector, FileType

        root = self._at("")
        selector = FileSelector(root.rstrip("/"), recursive=True, allow_not_found=True)
        found = self._files().get_file_info(selector)
        return [info.path.removeprefix(root) for info in found if info.type is FileType.File]

    def delete(self, name: str) -> None:
        """Take an object away."""
        self._files().delete_file(self._at(name))

    def _at(self, name: str) -> str:
        return f"{self.uri.removeprefix('s3://')}/{name}"

    def _files(self) -> S3FileSystem:
        if self._connection is None:
            from pyarrow.fs import S3FileSystem

            address = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
            split = urllib.parse.urlsplit(address or "")
            # In the background, parts that cannot be sent keep a stream from being completed.
            self._connection = S3FileSystem(
                endpoint_override=split.netloc or None,
                scheme=split.scheme or "https",
                background_writes=True,
                allow_delayed_open=True,
            )
        return self._connection


def reason_of(error: Exception, environment: Mapping[str, str] | None = None) -> str:
    """What a store or its client says of a failure, in a line and without credentials.

    >>> reason_of(OSError("denied to AKID1"), {"AWS_ACCESS_KEY_ID": "AKID1"})
    'denied to (not shown)'
    """
    values = os.environ if environment is None else environment
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m|↳", "", str(error)).split())
    for name in _SECRETS:
        if values.get(name):
            text = text.replace(values[name], "(not shown)")
    # Servers describe the request that they refused; what it was signed with is nobody's business.
    text = re.sub(r"<(AWSAccessKeyId|\w*Sign\w*|\w*Canonical\w*)>.*?</\1>", "", text)
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON] + "…"


def check_address(path: str) -> None:
    """Raise SyncRefused for a bucket's address with more in it than bucket and prefix."""
    split = urllib.parse.urlsplit(path)
    if "@" in split.netloc or split.query or split.fragment:
        raise SyncRefused(
            "bad_config",
            "The destination's path has more in it than a bucket and a prefix",
            "Write s3://bucket/prefix; credentials belong into the variables AWS_ACCESS_KEY_ID and"
            " AWS_SECRET_ACCESS_KEY.",
            kept="Nothing was changed",
        )
