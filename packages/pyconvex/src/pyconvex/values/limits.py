"""The limits that values must keep, as named constants.

Owns numbers only; the modules that refuse a value own the messages. Never varies at run time.
One invariant: each constant names its unit and where the number comes from. "Convex" is the public
backend source (`crates/value`, `crates/common`, `sync_types`).
"""

from __future__ import annotations

from typing import Final

#: Levels of arrays and objects in any value. Convex: `MAX_NESTING`, value/src/size.rs.
MAX_NESTING: Final = 64

#: Levels of arrays and objects in a stored document, the document itself included.
#: Convex: `MAX_DOCUMENT_NESTING`, common/src/document.rs.
MAX_DOCUMENT_NESTING: Final = 16

#: Fields of one object. Convex: `MAX_OBJECT_FIELDS`, value/src/object.rs.
MAX_OBJECT_FIELDS: Final = 1024

#: Elements of one array. Convex: `MAX_ARRAY_LEN`, value/src/array.rs.
MAX_ARRAY_LENGTH: Final = 8192

#: Characters of a field name. Convex: `MAX_FIELD_NAME_LENGTH`, sync_types/src/identifier.rs.
MAX_FIELD_NAME_LENGTH: Final = 1024

#: Characters of a table, index or export name, or of a declared field.
#: Convex: `MAX_IDENTIFIER_LEN`, sync_types/src/identifier.rs.
MAX_IDENTIFIER_LENGTH: Final = 64

#: Bytes of any value, by `sizes.size_of`. Convex: `MAX_SIZE`, value/src/size.rs.
MAX_VALUE_BYTES: Final = 32 * 1024 * 1024

#: Bytes of a stored document, by `sizes.size_of`. Convex: `MAX_USER_SIZE`, common/src/document.rs.
MAX_DOCUMENT_BYTES: Final = 1024 * 1024

#: Bytes of a call's arguments. Convex documentation: production/state/limits.
MAX_ARGUMENT_BYTES: Final = 16 * 1024 * 1024

#: Bytes of a function's result. Convex documentation: production/state/limits.
MAX_RESULT_BYTES: Final = 16 * 1024 * 1024

#: Largest whole number that a double holds exactly together with both neighbours; Python ints up to
#: here become numbers. JavaScript: `Number.MAX_SAFE_INTEGER`.
MAX_SAFE_INTEGER: Final = 2**53 - 1

#: Range of `Int64`, two's complement.
MIN_INT64: Final = -(2**63)
MAX_INT64: Final = 2**63 - 1
