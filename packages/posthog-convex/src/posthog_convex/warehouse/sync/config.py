"""The file that says what to sync where: TOML, without secrets.

Owns its form, reading and writing. Never holds a key: it names the variable that does. Invariant:
what `write` makes, `read` reads back the same.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from posthog_convex.warehouse.destinations.bucket import check_address
from posthog_convex.warehouse.plan.progress import Mode, OnDrop
from posthog_convex.warehouse.refusal import SyncRefused
from posthog_convex.warehouse.source.pager import Api
from posthog_convex.warehouse.tables.selection import Selection

FILE = "posthog-convex-sync.toml"
#: What a bucket's address begins with.
BUCKET = "s3://"
#: The schedule that has no pauses.
WATCH = "watch"
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_EVERY = re.compile(r"[1-9][0-9]{0,5}[smhd]")
_KEPT = "Nothing was changed"
Positive = Annotated[float, msgspec.Meta(gt=0)]


class DeploymentPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which deployment. `key_env`: the variable with the deploy key or admin key."""

    url: str
    key_env: str = "CONVEX_DEPLOY_KEY"
    ca_file: str | None = None
    api: Api = Api.AUTO
    #: How long the deployment takes up an old position again, where it does not say so itself: 14
    #: days on Convex Cloud, two on a self-hosted backend that nobody told otherwise.
    retention_days: Positive | None = None

    def retention_s(self, told_s: float | None = None) -> float:
        """The same in seconds; `told_s` is what the deployment said."""
        if self.retention_days is not None:
            return self.retention_days * 86_400
        return told_s or (14.0 if ".convex.cloud" in self.url else 2.0) * 86_400


class DestinationPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to. `path`: a file for `duckdb`, else a folder or an s3:// address.

    `work`: a local folder for the sync's own state, where `path` is a bucket.
    """

    kind: Literal["duckdb", "parquet", "delta"]
    path: str
    work: str | None = None
    mode: Mode = Mode.HARD
    on_drop: OnDrop = OnDrop.ARCHIVE


class WatchPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often `watch` looks where the deployment cannot hold a request until there is news."""

    poll_interval_s: Positive = 5.0


class HostPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What this project's host does by itself, where it runs beside this file.

    `schedule`: "watch", or how often to run, such as "15m". None: nothing.
    """

    schedule: str | None = None

    def __post_init__(self) -> None:
        if self.schedule not in (None, WATCH) and not _EVERY.fullmatch(self.schedule):
            raise ValueError(
                f'`schedule` is {self.schedule!r}, and can be "watch", or how often to run, such'
                ' as "90s", "15m", "6h" or "1d"'
            )

    @property
    def every_s(self) -> float | None:
        """Between the beginnings of two runs; None for a watch, and for nothing.

        >>> HostPart(schedule="15m").every_s
        900.0
        """
        if self.schedule in (None, WATCH):
            return None
        return float(self.schedule[:-1]) * _UNITS_S[self.schedule[-1]]


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    deployment: DeploymentPart
    destination: DestinationPart
    tables: Selection = Selection()
    watch: WatchPart = WatchPart()
    host: HostPart = HostPart()


def read(path: Path) -> Config:
    """The file's configuration; paths in it are relative to its folder. Raises SyncRefused."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise SyncRefused(
            "no_config",
            f"There is no {path}",
            "`posthog-convex sync init` makes one.",
            kept=_KEPT,
        ) from None
    except OSError as error:
        raise SyncRefused(
            "no_config", f"{path} cannot be read: {error.strerror}", "Mend that.", kept=_KEPT
        ) from None
    try:
        config = msgspec.convert(tomllib.loads(text), Config)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise SyncRefused(
            "bad_config", f"{path} cannot be used: {error}", "Mend the file.", kept=_KEPT
        ) from None
    return msgspec.structs.replace(
        config, destination=_placed(config.destination, path.resolve().parent)
    )


def _placed(part: DestinationPart, folder: Path) -> DestinationPart:
    """Its paths, seen from the configuration's folder."""
    where, work = part.path, part.work
    if "://" in where:
        check_address(where)
        if part.kind == "duckdb" or not where.startswith(BUCKET):
            raise SyncRefused(
                "bad_config",
                f"A destination of the kind {part.kind!r} cannot be at {where}",
                "Take 'parquet' or 'delta' for a bucket, with an address such as"
                " s3://bucket/prefix, and 'duckdb' for a file.",
                kept=_KEPT,
            )
        work = work or "posthog-convex-work"
    else:
        where = str(folder / where)
    return msgspec.structs.replace(
        part, path=where, work=None if work is None else str(folder / work)
    )


def write(config: Config) -> str:
    """The file's text.

    >>> part = DestinationPart(kind="duckdb", path="w.duckdb")
    >>> text = write(Config(deployment=DeploymentPart(url="http://x"), destination=part))
    >>> text.splitlines()[:3]
    ['[deployment]', 'url = "http://x"', 'key_env = "CONVEX_DEPLOY_KEY"']
    """
    lines: list[str] = []
    for part, values in msgspec.to_builtins(config).items():
        given = {name: value for name, value in values.items() if value not in (None, [], ())}
        if not given:
            continue
        lines += [f"[{part}]", *(f"{name} = {_toml(value)}" for name, value in given.items()), ""]
    return "\n".join(lines)


def _toml(value: object) -> str:
    # Strings, numbers and lists of strings are written the same in JSON and in TOML.
    return msgspec.json.encode(value).decode()
