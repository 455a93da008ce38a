"""What may stand in a document, and the texts that refuse the rest.

Owns the checks of one document: field names, system fields, depth and size. Never reads or writes.
One invariant: what `canonical` returns is exactly what a later read of the stored bytes gives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from pyconvex.database.errors import DatabaseError
from pyconvex.values import InvalidValue, Value, codec, limits, sizes

SYSTEM_FIELDS = ("_id", "_creationTime")


def decode_document(doc: bytes) -> dict[str, Value]:
    """A document, stored or buffered, as a fresh dict that the caller may change."""
    return cast("dict[str, Value]", codec.decode_pending(doc))


def canonical(method: str, value: object) -> dict[str, Value]:
    """A given object in canonical form; `UNSET` fields are left out. Refuses anything else."""
    if not isinstance(value, Mapping):
        raise DatabaseError(
            "InvalidArgument", f"Invalid argument `value` for `{method}`: Value must be an Object"
        )
    try:
        return cast(dict[str, Value], codec.decode_pending(codec.encode_pending(dict(value))))
    except InvalidValue as error:
        raise DatabaseError(
            "InvalidArgument", f"Invalid argument `value` for `{method}`: {error}"
        ) from error


def check_system_fields(given: Mapping[str, Value], id: str, creation_time: float) -> None:
    """A given `_id` or `_creationTime` must be the document's own."""
    if "_id" in given and given["_id"] != id:
        raise DatabaseError(
            "InvalidIdError",
            f"Provided document ID \"{id}\" doesn't match '_id' field "
            f"{codec.encode(given['_id']).decode()}",
        )
    if "_creationTime" in given and given["_creationTime"] != creation_time:
        raise DatabaseError(
            "InvalidCreationTimeError",
            f"Provided creation time {json.dumps(creation_time)} doesn't match '_creationTime' "
            f"field in {codec.encode(dict(given)).decode()}",
        )


def check_document(document: Mapping[str, Value]) -> int:
    """Refuse a document that cannot be stored; returns its size in bytes."""
    for name in document:
        if name.startswith("_") and name not in SYSTEM_FIELDS:
            raise DatabaseError(
                "SystemFieldError",
                f"Field '{name}' starts with an underscore, which is only allowed for system "
                "fields like '_id'",
            )
        if len(name) > limits.MAX_IDENTIFIER_LENGTH:
            raise DatabaseError(
                "FieldNameTooLong",
                f"Field name is too long ({len(name)} > maximum {limits.MAX_IDENTIFIER_LENGTH})",
            )
    depth = sizes.nesting_of(document)
    if depth > limits.MAX_DOCUMENT_NESTING:
        raise DatabaseError(
            "TooNestedError",
            f"Document is too nested (nested {depth} levels deep > maximum nesting "
            f"{limits.MAX_DOCUMENT_NESTING})",
        )
    size = sizes.size_of(document)
    if size > limits.MAX_DOCUMENT_BYTES:
        raise DatabaseError(
            "ValueTooLargeError",
            f"Value is too large ({sizes.format_size(size)} > maximum size "
            f"{sizes.format_size(limits.MAX_DOCUMENT_BYTES)})",
        )
    return size
