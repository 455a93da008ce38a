"""`_generated/dataModel`: the types of tables, documents and ids.

Owns both files. One invariant: a document's type has the system fields that every stored document
has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pyconvex.cli.typescript.types import Shape, Writer, braced, key_of, name_of
from pyconvex.runtime.app.spec import ComponentSpec, TableSpec

_HEADER: Final = """\
/* eslint-disable */
/**
 * The tables of this app, written by `pyconvex codegen` and `pyconvex dev`.
 * Edits are lost when it is written again.
 */
"""

#: Types only, and yet a module, for bundlers that follow an import of them.
_SCRIPT: Final = f"{_HEADER}\nexport {{}};\n"

_WITHOUT_TABLES: Final = f"""{_HEADER}
import type {{ AnyDataModel }} from "convex/server";
import type {{ GenericId }} from "convex/values";

/** No table is declared, so every name may be one. */
export type TableNames = string;
export type Doc<TableName extends TableNames = TableNames> = any;
export type Id<TableName extends TableNames = TableNames> = GenericId<TableName>;
export type DataModel = AnyDataModel;
"""

_WITH_TABLES: Final = """\
import type { DocumentByName, SystemTableNames, TableNamesInDataModel } from "convex/server";
import type { GenericId } from "convex/values";

/** The names of the app's tables. */
export type TableNames = TableNamesInDataModel<DataModel>;

/** A stored document, such as `Doc<"users">`. */
export type Doc<TableName extends TableNames> = DocumentByName<DataModel, TableName>;

/** The id of a document, such as `Id<"users">`: a string that the compiler tells from others. */
export type Id<TableName extends TableNames | SystemTableNames> = GenericId<TableName>;

/** The app's tables. */
"""

_CREATION_TIME: Final = "_creationTime"


def data_model_files(app: ComponentSpec) -> dict[str, str]:
    """Both files by name."""
    return {"dataModel.js": _SCRIPT, "dataModel.d.ts": _types(app)}


def document_names(app: ComponentSpec) -> dict[str, str]:
    """Short names of stored documents' shapes: `Doc<"users">`."""
    return {
        key_of(_stored(table, shape)): f"Doc<{json.dumps(table.name)}>"
        for table in app.tables
        for shape in [table.document]
        if shape.get("type") == "object"
    }


def _types(app: ComponentSpec) -> str:
    if not app.tables:
        return _WITHOUT_TABLES
    writer = Writer({})
    tables = braced([f"{name_of(table.name)}: {_table(table, writer)};" for table in app.tables], 0)
    return f"{_HEADER}\n{_WITH_TABLES}export type DataModel = {tables};\n"


def _table(table: TableSpec, writer: Writer) -> str:
    indexes = {
        "by_id": ["_id"],
        "by_creation_time": [_CREATION_TIME],
        **{name: [*fields, _CREATION_TIME] for name, fields in table.indexes.items()},
    }
    shapes = [_stored(table, shape) for shape in _arms(table.document)]
    paths = sorted({path for shape in shapes for path in _paths(shape)})
    return braced(
        [
            f"document: {' | '.join(writer.type(shape, 2) for shape in shapes)};",
            f"fieldPaths: {' | '.join(map(json.dumps, paths))};",
            f"indexes: {_indexes(indexes)};",
            "searchIndexes: {};",
            "vectorIndexes: {};",
        ],
        1,
    )


def _indexes(indexes: Mapping[str, list[str]]) -> str:
    return braced(
        [f"{name_of(name)}: {json.dumps(fields)};" for name, fields in sorted(indexes.items())], 2
    )


def _arms(document: Shape) -> list[Shape]:
    """The shapes that a document may have; a schema that says nothing allows any."""
    match document:
        case {"type": "object"}:
            return [document]
        case {"type": "union", "value": members}:
            return [arm for member in members for arm in _arms(member)]
    return [{"type": "any"}]


def _stored(table: TableSpec, shape: Shape) -> Shape:
    """A declared shape with the system fields."""
    if shape["type"] != "object":
        return shape
    fields: dict[str, Any] = {
        **shape["value"],
        "_id": {"fieldType": {"type": "id", "tableName": table.name}, "optional": False},
        _CREATION_TIME: {"fieldType": {"type": "number"}, "optional": False},
    }
    return {"type": "object", "value": fields}


def _paths(shape: Shape, before: str = "") -> Iterator[str]:
    """The fields of a document, also those within fields, as indexes name them."""
    match shape:
        case {"type": "object", "value": fields}:
            for name, field in fields.items():
                yield f"{before}{name}"
                yield from _paths(field["fieldType"], f"{before}{name}.")
        case {"type": "union", "value": members}:
            for member in members:
                yield from _paths(member, before)
        case {"type": "any"} if not before:
            yield from ("_id", _CREATION_TIME)
