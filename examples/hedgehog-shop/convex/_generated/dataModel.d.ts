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
  authAccounts: {
    document: {
      _creationTime: number;
      _id: Id<"authAccounts">;
      emailVerified?: string;
      phoneVerified?: string;
      provider: string;
      providerAccountId: string;
      secret?: string;
      userId: Id<"users">;
    };
    fieldPaths: "_creationTime" | "_id" | "emailVerified" | "phoneVerified" | "provider" | "providerAccountId" | "secret" | "userId";
    indexes: {
      by_creation_time: ["_creationTime"];
      by_id: ["_id"];
      providerAndAccountId: ["provider", "providerAccountId", "_creationTime"];
      userIdAndProvider: ["userId", "provider", "_creationTime"];
    };
    searchIndexes: {};
    vectorIndexes: {};
  };
  authRateLimits: {
    document: {
      _creationTime: number;
      _id: Id<"authRateLimits">;
      attemptsLeft: number;
      identifier: string;
      lastAttemptTime: number;
    };
    fieldPaths: "_creationTime" | "_id" | "attemptsLeft" | "identifier" | "lastAttemptTime";
    indexes: {
      by_creation_time: ["_creationTime"];
      by_id: ["_id"];
      identifier: ["identifier", "_creationTime"];
      lastAttemptTime: ["lastAttemptTime", "_creationTime"];
    };
    searchIndexes: {};
    vectorIndexes: {};
  };
  authRefreshTokens: {
    document: {
      _creationTime: number;
      _id: Id<"authRefreshTokens">;
      expirationTime: number;
      firstUsedTime?: number;
      parentRefreshTokenId?: Id<"authRefreshTokens">;
      secretHash: string;
      sessionId: Id<"authSessions">;
    };
    fieldPaths: "_creationTime" | "_id" | "expirationTime" | "firstUsedTime" | "parentRefreshTokenId" | "secretHash" | "sessionId";
    indexes: {
      by_creation_time: ["_creationTime"];
      by_id: ["_id"];
      sessionId: ["sessionId", "_creationTime"];
      sessionIdAndParentRefreshTokenId: ["sessionId", "parentRefreshTokenId", "_creationTime"];
    };
    searchIndexes: {};
    vectorIndexes: {};
  };
  authSessions: {
    document: {
      _creationTime: number;
      _id: Id<"authSessions">;
      expirationTime: number;
      userId: Id<"users">;
    };
    fieldPaths: "_creationTime" | "_id" | "expirationTime" | "userId";
    indexes: {
      by_creation_time: ["_creationTime"];
      by_id: ["_id"];
      userId: ["userId", "_creationTime"];
    };
    searchIndexes: {};
    vectorIndexes: {};
  };
  authVerificationCodes: {
    document: {
      _creationTime: number;
      _id: Id<"authVerificationCodes">;
      accountId: Id<"authAccounts">;
      code: string;
      emailVerified?: string;
      expirationTime: number;
      phoneVerified?: string;
      provider: string;
      verifier?: string;
    };
    fieldPaths: "_creationTime" | "_id" | "accountId" | "code" | "emailVerified" | "expirationTime" | "phoneVerified" | "provider" | "verifier";
    indexes: {
      accountId: ["accountId", "_creationTime"];
      by_creation_time: ["_creationTime"];
      by_id: ["_id"];
      code: ["code", "_creationTime"];
    };
    searchIndexes: {};
    vectorIndexes: {};
  };
  cart_lines: {
    document: {
      _creationTime: number;
      _id: Id<"cart_lines">;
      product_id: Id<"products">;
      quantity: number;
      user_id: Id<"users">;
    };
    fieldPaths: "_creationTime" | "_id" | "product_id" | "quantity" | "user_id";
    indexes: {
      by_creation_time: ["_creationTime"];
      by_id: ["_id"];
      by_user: ["user_id", "product_id", "_creationTime"];
    };
    searchIndexes: {};
    vectorIndexes: {};
  };
  messages: {
    document: {
      _creationTime: number;
      _id: Id<"messages">;
      author: "customer" | "support";
      state: "writing" | "done" | "failed";
      text: string;
      user_id: Id<"users">;
    };
    fieldPaths: "_creationTime" | "_id" | "author" | "state" | "text" | "user_id";
    indexes: {
      by_creation_time: ["_creationTime"];
      by_id: ["_id"];
      by_user: ["user_id", "_creationTime"];
    };
    searchIndexes: {};
    vectorIndexes: {};
  };
  orders: {
    document: {
      _creationTime: number;
      _id: Id<"orders">;
      items: number;
      paid: number;
      payment: string;
      user_id: Id<"users">;
    };
    fieldPaths: "_creationTime" | "_id" | "items" | "paid" | "payment" | "user_id";
    indexes: {
      by_creation_time: ["_creationTime"];
      by_id: ["_id"];
      by_user: ["user_id", "_creationTime"];
    };
    searchIndexes: {};
    vectorIndexes: {};
  };
  products: {
    document: {
      _creationTime: number;
      _id: Id<"products">;
      about: string;
      name: string;
      picture: string;
      price: number;
      rank: number;
    };
    fieldPaths: "_creationTime" | "_id" | "about" | "name" | "picture" | "price" | "rank";
    indexes: {
      by_creation_time: ["_creationTime"];
      by_id: ["_id"];
      by_rank: ["rank", "_creationTime"];
    };
    searchIndexes: {};
    vectorIndexes: {};
  };
  users: {
    document: {
      _creationTime: number;
      _id: Id<"users">;
      email: string;
      name: string;
      plan: "free" | "club";
      welcomed?: boolean | null;
    };
    fieldPaths: "_creationTime" | "_id" | "email" | "name" | "plan" | "welcomed";
    indexes: {
      by_creation_time: ["_creationTime"];
      by_id: ["_id"];
      email: ["email", "_creationTime"];
    };
    searchIndexes: {};
    vectorIndexes: {};
  };
};
