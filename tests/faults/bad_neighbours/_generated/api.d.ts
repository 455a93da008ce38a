/* eslint-disable */
/**
 * References to the functions of this app, written by `pyconvex codegen` and `pyconvex dev`.
 * Edits are lost when it is written again.
 */

import type { FunctionReference } from "convex/server";

export declare const api: {
  bad: {
    block: FunctionReference<
      "action",
      "public",
      {
        n: number;
      },
      null
    >;
    crash: FunctionReference<
      "query",
      "public",
      {
        n: number;
      },
      null
    >;
    fork: FunctionReference<
      "query",
      "public",
      {
        n: number;
      },
      null
    >;
    hoard: FunctionReference<
      "query",
      "public",
      {
        n: number;
      },
      null
    >;
    leave: FunctionReference<
      "query",
      "public",
      {
        n: number;
      },
      null
    >;
    loop: FunctionReference<
      "query",
      "public",
      {
        n: number;
      },
      null
    >;
    talk: FunctionReference<
      "query",
      "public",
      {
        n: number;
      },
      string
    >;
  };
  good: {
    act: FunctionReference<
      "action",
      "public",
      {
        n: number;
      },
      number
    >;
    count: FunctionReference<
      "query",
      "public",
      {
        n: number;
      },
      number
    >;
    write: FunctionReference<
      "mutation",
      "public",
      {
        text: string;
      },
      null
    >;
  };
};

export declare const internal: {};
