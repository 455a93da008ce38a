/* eslint-disable */
/**
 * References to the functions of this app, written by `pyconvex codegen` and `pyconvex dev`.
 * Edits are lost when it is written again.
 */

import type { FunctionReference } from "convex/server";
import type { Doc, Id } from "./dataModel.js";

export declare const api: {
  shop: {
    buy: FunctionReference<
      "mutation",
      "public",
      {
        card?: string;
        user_id: Id<"users">;
      },
      Id<"orders">
    >;
    price: FunctionReference<
      "query",
      "public",
      {
        user_id: Id<"users">;
      },
      number
    >;
  };
  users: {
    get: FunctionReference<
      "query",
      "public",
      {
        user_id: Id<"users">;
      },
      Doc<"users"> | null
    >;
    sign_up: FunctionReference<
      "mutation",
      "public",
      {
        email: string;
        name: string;
      },
      Id<"users">
    >;
    upgrade: FunctionReference<
      "mutation",
      "public",
      {
        plan: string;
        user_id: Id<"users">;
      },
      null
    >;
  };
};

export declare const internal: {};
