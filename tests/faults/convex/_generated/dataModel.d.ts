/* eslint-disable */
/**
 * The tables of this app, written by `pyconvex codegen` and `pyconvex dev`.
 * Edits are lost when it is written again.
 */

import type { DocumentByName, SystemTableNames, TableNamesInDataModel } from "convex/server";
import type { GenericId } from "convex/values";

/** The names of the app's tables. */
export type TableNames = TableNamesInDataModel<DataModel>;

/** A stored document, such as `Doc<"users">`. */
export type Doc<TableName extends TableNames> = DocumentByName<DataModel, TableName>;

/** The id of a document, such as `Id<"users">`: a string that the compiler tells from others. */
export type Id<TableName extends TableNames | SystemTableNames> = GenericId<TableName>;

/** The app's tables. */
export type DataModel = {
  orders: {
    document: {
      _creationTime: number;
      _id: Id<"orders">;
      number: number;
    };
    fieldPaths: "_creationTime" | "_id" | "number";
    indexes: {
      by_creation_time: ["_creationTime"];
      by_id: ["_id"];
      by_number: ["number", "_creationTime"];
    };
    searchIndexes: {};
    vectorIndexes: {};
  };
};
