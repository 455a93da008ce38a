"""A small S3-compatible store on loopback, for clients that are not changed for it.

Owns one bucket of whole objects, in memory: PUT, with conditions and in parts, GET with ranges,
HEAD, DELETE, lists of the second kind. Requests must be signed with its key. Never a part of an
object: what was not completed is not there. Runs in a process of its own, because delta-rs waits
for answers with Python's lock in its hand.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import io
import re
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from xml.sax.saxutils import escape

KEY_ID = "AKIDCANARY0000000000"
SECRET = "canary/secret/key/of/the/bucket"
BUCKET = "warehouse"
MINIMUM_PART = 5 * 1024 * 1024
_CONTROL = "-"


class BucketServer:
    """The store, while it runs."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def environment(self) -> dict[str, str]:
        """What clients need to know."""
        return {
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def refuse_changes(self, after: int, times: int = 10**9) -> None:
        """Let so many requests change something from now on; then refuse so many."""
        told = f"{after} {after + times}".encode()
        request = urllib.request.Request(f"{self.url}/{_CONTROL}", told, method="PUT")
        urllib.request.urlopen(request).close()


@contextmanager
def running() -> Iterator[BucketServer]:
    """A store of its own, empty."""
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield BucketServer(process.stdout.readline().strip())
        finally:
            process.kill()


class _Store:
    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        #: Uploads in parts that are not completed, by name.
        self.uploads: dict[str, dict[int, bytes]] = {}
        #: Which changes to refuse, counted from the last time that somebody said so.
        self.refused = range(0)
        self.changes = 0
        self.lock = threading.Lock()


class _Refused(Exception):
    def __init__(self, status: int, code: str) -> None:
        self.status = status
        self.code = code


class _Handler(BaseHTTPRequestHandler):
    store: _Store
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _handle(self) -> None:
        path, _, query = self.path.partition("?")
        self.asked = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        bucket, _, self.key = urllib.parse.unquote(path).lstrip("/").partition("/")
        sent = self._body()
        if bucket == _CONTROL:
            self.store.refused, self.store.changes = range(*map(int, sent.split())), 0
            self._answer(200, b"")
            return
        try:
            self._check_signature(path, query)
            if bucket != BUCKET:
                raise _Refused(404, "NoSuchBucket")
            with self.store.lock:
                self._check_allowed()
                getattr(self, f"_{self.command.lower()}")(sent)
        except _Refused as refused:
            # Real stores show the key's id to whoever signed wrongly.
            text = (
                f"<Error><Code>{refused.code}</Code><Message>{refused.code}</Message>"
                f"<AWSAccessKeyId>{KEY_ID}</AWSAccessKeyId></Error>"
            )
            self._answer(refused.status, text.encode())

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            sent = _unchunked(self.rfile.readline, self.rfile.read)
        else:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
            inner = io.BytesIO(sent)
            sent = _unchunked(inner.readline, inner.read)
        return sent

    def _check_signature(self, path: str, query: str) -> None:
        told = self.headers.get("Authorization", "")
        match = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d+)/([^/]+)/s3/aws4_request, ?"
            r"SignedHeaders=([^,]+), ?Signature=([0-9a-f]+)",
            told,
        )
        if match is None or match[1] != KEY_ID:
            raise _Refused(403, "InvalidAccessKeyId")
        _, day, region, names, signature = match.groups()
        headers = "".join(f"{name}:{self.headers[name].strip()}\n" for name in names.split(";"))
        asked = urllib.parse.parse_qsl(query, keep_blank_values=True)
        pairs = sorted(f"{_quoted(name)}={_quoted(value)}" for name, value in asked)
        canonical = "\n".join(
            [
                *(self.command, path, "&".join(pairs), headers, names),
                self.headers["x-amz-content-sha256"],
            ]
        )
        scope = f"{day}/{region}/s3/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{self.headers['x-amz-date']}\n{scope}\n{digest}"
        key = f"AWS4{SECRET}".encode()
        for step in (day, region, "s3", "aws4_request", text):
            key = hmac.digest(key, step.encode(), "sha256")
        if key.hex() != signature:
            raise _Refused(403, "SignatureDoesNotMatch")

    def _check_allowed(self) -> None:
        if self.command in ("GET", "HEAD"):
            return
        self.store.changes += 1
        if self.store.changes - 1 in self.store.refused:
            raise _Refused(403, "AccessDenied")

    def _get(self, sent: bytes) -> None:
        if not self.key:
            self._list()
            return
        found = self._found()
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            self._answer(200, found, **self._told(found))
            return
        first, last = asked.groups()
        if first:
            start, end = int(first), min(int(last or len(found)), len(found) - 1)
        else:
            start, end = max(len(found) - int(last), 0), len(found) - 1
        if start >= len(found):
            raise _Refused(416, "InvalidRange")
        told = self._told(found) | {"Content-Range": f"bytes {start}-{end}/{len(found)}"}
        self._answer(206, found[start : end + 1], **told)

    def _head(self, sent: bytes) -> None:
        found = self._found() if self.key else b""
        self._answer(200, found, **self._told(found))

    def _put(self, sent: bytes) -> None:
        if "uploadId" in self.asked:
            parts = self.store.uploads.get(self.asked["uploadId"])
            if parts is None:
                raise _Refused(404, "NoSuchUpload")
            parts[int(self.asked["partNumber"])] = sent
            self._answer(200, b"", ETag=_tag(sent))
            return
        if "x-amz-copy-source" in self.headers:
            raise _Refused(501, "NotImplemented")
        self._keep(sent)
        self._answer(200, b"", ETag=_tag(sent))

    def _post(self, sent: bytes) -> None:
        if "uploads" in self.asked:
            name = f"upload-{len(self.store.uploads) + 1}"
            self.store.uploads[name] = {}
            self._xml("InitiateMultipartUploadResult", _el("UploadId", name))
            return
        parts = self.store.uploads.get(self.asked.get("uploadId", ""))
        if parts is None:
            raise _Refused(404, "NoSuchUpload")
        numbers = [int(n) for n in re.findall(r"<PartNumber>(\d+)</PartNumber>", sent.decode())]
        if not numbers or any(n not in parts for n in numbers) or numbers != sorted(numbers):
            raise _Refused(400, "InvalidPart")
        if any(len(parts[n]) < MINIMUM_PART for n in numbers[:-1]):
            raise _Refused(400, "EntityTooSmall")
        whole = b"".join(parts[n] for n in numbers)
        self._keep(whole)
        del self.store.uploads[self.asked["uploadId"]]
        self._xml("CompleteMultipartUploadResult", _el("ETag", _tag(whole)))

    def _delete(self, sent: bytes) -> None:
        if "uploadId" in self.asked:
            self.store.uploads.pop(self.asked["uploadId"], None)
        else:
            self.store.objects.pop(self.key, None)
        self._answer(204, b"")

    def _keep(self, content: bytes) -> None:
        """Whole, in place of what was; only under the conditions of the request."""
        there = self.store.objects.get(self.key)
        if self.headers.get("If-None-Match") == "*" and there is not None:
            raise _Refused(412, "PreconditionFailed")
        tag = self.headers.get("If-Match")
        if tag is not None and (there is None or _tag(there) != tag):
            raise _Refused(412, "PreconditionFailed")
        self.store.objects[self.key] = content

    def _list(self) -> None:
        if self.asked.get("list-type") != "2":
            raise _Refused(501, "NotImplemented")
        prefix, delimiter = self.asked.get("prefix", ""), self.asked.get("delimiter", "")
        after = self.asked.get("continuation-token") or self.asked.get("start-after", "")
        limit = int(self.asked.get("max-keys", "1000"))
        keys: list[str] = []
        folders: list[str] = []
        more = ""
        for key in sorted(self.store.objects):
            if not key.startswith(prefix) or key <= after:
                continue
            folder, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if cut and prefix + folder + cut in (*folders, after):
                continue
            if len(keys) + len(folders) == limit:
                more = max([*keys, *folders])
                break
            if cut:
                folders.append(prefix + folder + cut)
            else:
                keys.append(key)
        contents = "".join(
            f"<Contents>{_el('Key', key)}<LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"{_el('ETag', _tag(self.store.objects[key]))}"
            f"<Size>{len(self.store.objects[key])}</Size></Contents>"
            for key in keys
        )
        found = "".join(
            f"<CommonPrefixes>{_el('Prefix', each)}</CommonPrefixes>" for each in folders
        )
        told = f"<KeyCount>{len(keys) + len(folders)}</KeyCount><MaxKeys>{limit}</MaxKeys>"
        cut_off = f"<IsTruncated>{str(bool(more)).lower()}</IsTruncated>"
        token = _el("NextContinuationToken", more) if more else ""
        names = _el("Name", BUCKET) + _el("Prefix", prefix)
        self._xml("ListBucketResult", names + told + cut_off + token + contents + found)

    def _found(self) -> bytes:
        found = self.store.objects.get(self.key)
        if found is None:
            raise _Refused(404, "NoSuchKey")
        return found

    def _told(self, content: bytes) -> dict[str, str]:
        return {"ETag": _tag(content), "Last-Modified": formatdate(0, usegmt=True)}

    def _xml(self, name: str, inner: str) -> None:
        text = f'<{name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inner}</{name}>'
        self._answer(200, text.encode())

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing is said."""


def _unchunked(line: Callable[[], bytes], read: Callable[[int], bytes]) -> bytes:
    pieces = []
    while size := int(line().split(b";")[0], 16):
        pieces.append(read(size))
        line()
    while line().strip():
        pass  # checksums that the client adds
    return b"".join(pieces)


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.~")


@functools.lru_cache(maxsize=64)  # a reader asks for a large object in many ranges
def _tag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def _el(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>"


def _main() -> None:
    handler = type("Handler", (_Handler,), {"store": _Store()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _main()
