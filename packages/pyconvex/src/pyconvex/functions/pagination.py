"""What an app author sees of pagination: the options of a page, and the page.

Owns both types and the validators that stand for them, which are Convex's `paginationOptsValidator`
and `paginationResultValidator`. Never reads a page: `pages` does. One invariant: on the wire both
have Convex's names, in Python Python's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from pyconvex.values import TableNumbers, Validator, Value, v
from pyconvex.values.validators import ObjectValidator

T = TypeVar("T")
U = TypeVar("U")

#: The argument's name on the wire, whatever the parameter is called.
PAGINATION_OPTS = "paginationOpts"

PageStatus: TypeAlias = Literal["SplitRecommended", "SplitRequired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaginationOptions:
    """Which page a client wants: take it as a parameter, and hand it to `paginate`.

    On the wire the parameter is always `paginationOpts`, as `usePaginatedQuery` sends it.
    """

    #: How many documents, on the first run of a subscription.
    num_items: int
    #: Behind which cursor the page begins; None is the beginning.
    cursor: str | None = None
    #: Where the page ends; then `num_items` and the maxima don't count.
    end_cursor: str | None = None
    #: Stop after reading this many documents, filtered ones included.
    maximum_rows_read: int | None = None
    #: Stop after reading this many bytes of documents.
    maximum_bytes_read: int | None = None
    #: What clients tell their subscriptions apart by; means nothing here.
    id: float | None = None

    def to_fields(self) -> dict[str, Any]:
        """The options as they travel."""
        fields: dict[str, Any] = {"numItems": self.num_items, "cursor": self.cursor}
        for name, wire_name in _OPTIONAL.items():
            value = getattr(self, name)
            if value is not None:
                fields[wire_name] = value
        return fields


# Without slots, which `PaginationResult[User](…)` can't be made of.
@dataclass(frozen=True, kw_only=True)
class PaginationResult(Generic[T]):
    """One page, and where the next one begins. Return it as it is, or after `with_page`."""

    page: list[T]
    #: True when the page reaches the end of the query.
    is_done: bool
    #: The `cursor` of the next page.
    continue_cursor: str
    #: A place in the middle, where clients may split the page in two.
    split_cursor: str | None = None
    #: "SplitRequired" when a limit ended the reading, so that documents may be missing.
    page_status: PageStatus | None = None

    def with_page(self, page: Sequence[U]) -> PaginationResult[U]:
        """The same place in the query with other contents, such as documents with their authors."""
        others = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return PaginationResult(**{**others, "page": list(page)})

    def to_fields(self) -> dict[str, Any]:
        """The page as it travels."""
        return {wire: getattr(self, name) for name, wire in _RESULT.items()}


_OPTIONAL = {
    "end_cursor": "endCursor",
    "maximum_rows_read": "maximumRowsRead",
    "maximum_bytes_read": "maximumBytesRead",
    "id": "id",
}
_RESULT = {
    "page": "page",
    "is_done": "isDone",
    "continue_cursor": "continueCursor",
    "split_cursor": "splitCursor",
    "page_status": "pageStatus",
}


@dataclass(frozen=True, slots=True)
class PaginationOptionsValidator(ObjectValidator):
    """The options of a page, which Python code gets as `PaginationOptions`."""

    @classmethod
    def make(cls) -> PaginationOptionsValidator:
        """The one there is."""
        fields = {
            "numItems": v.int(),
            "cursor": v.nullable(v.string()),
            "endCursor": v.optional(v.nullable(v.string())),
            "maximumRowsRead": v.optional(v.int()),
            "maximumBytesRead": v.optional(v.int()),
            "id": v.optional(v.float64()),
        }
        return cls(v.object(fields).entries)

    def check(self, value: Any, tables: TableNumbers) -> Value:
        fields = value.to_fields() if isinstance(value, PaginationOptions) else value
        # By name, because a dataclass with slots is made anew and `super()` would miss it.
        checked: Any = ObjectValidator.check(self, fields, tables)
        optional = {name: checked.get(wire_name) for name, wire_name in _OPTIONAL.items()}
        options: Any = PaginationOptions(
            num_items=checked["numItems"], cursor=checked["cursor"], **optional
        )
        return options  # type: ignore[no-any-return]  # a Value to validators, options to handlers


@dataclass(frozen=True, slots=True)
class PaginationResultValidator(ObjectValidator):
    """A page, which Python code gets as a `PaginationResult`."""

    @classmethod
    def of_items(cls, item: Validator) -> PaginationResultValidator:
        """The validator of pages of such items."""
        status = v.union(v.literal("SplitRecommended"), v.literal("SplitRequired"), v.null())
        fields = {
            "page": v.array(item),
            "isDone": v.boolean(),
            "continueCursor": v.string(),
            "splitCursor": v.optional(v.nullable(v.string())),
            "pageStatus": v.optional(status),
        }
        return cls(v.object(fields).entries)

    def check(self, value: Any, tables: TableNumbers) -> Value:
        fields = value.to_fields() if isinstance(value, PaginationResult) else value
        checked: Any = ObjectValidator.check(self, fields, tables)
        page: Any = PaginationResult(**{name: checked.get(wire) for name, wire in _RESULT.items()})
        return page  # type: ignore[no-any-return]  # a Value to validators, a page to callers
