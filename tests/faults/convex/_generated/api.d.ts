/* eslint-disable */
/**
 * References to the functions of this app, written by `pyconvex codegen` and `pyconvex dev`.
 * Edits are lost when it is written again.
 */

import type { FunctionReference } from "convex/server";

export declare const api: {
  orders: {
    numbers: FunctionReference<
      "query",
      "public",
      {},
      Array<number>
    >;
    place: FunctionReference<
      "mutation",
      "public",
      {
        customer: string;
        number: number;
      },
      null
    >;
    place_and_fail: FunctionReference<
      "mutation",
      "public",
      {
        customer: string;
        number: number;
      },
      null
    >;
  };
};

export declare const internal: {};
