/* eslint-disable */
/**
 * References to the functions of this app, written by `pyconvex codegen` and `pyconvex dev`.
 * Edits are lost when it is written again.
 */

import type { FunctionReference } from "convex/server";
import type { Doc, Id } from "./dataModel.js";

export declare const api: {
  auth: {
    isAuthenticated: FunctionReference<
      "query",
      "public",
      {},
      boolean
    >;
    signIn: FunctionReference<
      "action",
      "public",
      {
        calledBy?: string | null;
        params?: any;
        provider?: string | null;
        refreshToken?: string | null;
        verifier?: string | null;
      },
      Record<string, any>
    >;
    signOut: FunctionReference<
      "action",
      "public",
      {},
      null
    >;
  };
  cart: {
    mine: FunctionReference<
      "query",
      "public",
      {},
      {
        discount: number;
        entries: Array<{
          price: number;
          product: Doc<"products">;
          quantity: number;
        }>;
        total: number;
      }
    >;
    put: FunctionReference<
      "mutation",
      "public",
      {
        product_id: Id<"products">;
        quantity: number;
        session_id?: string | null;
      },
      null
    >;
  };
  chat: {
    ask: FunctionReference<
      "mutation",
      "public",
      {
        session_id?: string | null;
        text: string;
      },
      Id<"messages">
    >;
    mine: FunctionReference<
      "query",
      "public",
      {},
      Array<Doc<"messages">>
    >;
  };
  orders: {
    checkout: FunctionReference<
      "action",
      "public",
      {
        card: "works" | "declined" | "sometimes";
        session_id?: string | null;
      },
      Id<"orders">
    >;
    mine: FunctionReference<
      "query",
      "public",
      {},
      Array<Doc<"orders">>
    >;
  };
  products: {
    offer: FunctionReference<
      "query",
      "public",
      {
        product_id: Id<"products">;
      },
      {
        price: number;
        product: Doc<"products">;
      } | null
    >;
    offers: FunctionReference<
      "query",
      "public",
      {},
      Array<{
        price: number;
        product: Doc<"products">;
      }>
    >;
  };
  users: {
    choose_plan: FunctionReference<
      "mutation",
      "public",
      {
        plan: "free" | "club";
        session_id?: string | null;
      },
      null
    >;
    currentUser: FunctionReference<
      "query",
      "public",
      {},
      Doc<"users"> | null
    >;
    welcome: FunctionReference<
      "mutation",
      "public",
      {
        session_id?: string | null;
      },
      null
    >;
  };
};

export declare const internal: {
  auth: {
    closeSession: FunctionReference<
      "mutation",
      "internal",
      {},
      null
    >;
    createAccount: FunctionReference<
      "mutation",
      "internal",
      {
        email: string;
        profile: Record<string, any>;
        secret: string;
        token_hash: string;
      },
      Record<string, string> | null
    >;
    openSession: FunctionReference<
      "mutation",
      "internal",
      {
        email: string;
        new_secret: string | null;
        secret: string;
        token_hash: string;
      },
      Record<string, string> | null
    >;
    refreshSession: FunctionReference<
      "mutation",
      "internal",
      {
        new_token_hash: string;
        session_id: string;
        token_hash: string;
        token_id: string;
      },
      Record<string, string> | null
    >;
    setPassword: FunctionReference<
      "action",
      "internal",
      {
        email: string;
        password: string;
      },
      boolean
    >;
    storePassword: FunctionReference<
      "mutation",
      "internal",
      {
        email: string;
        secret: string;
      },
      boolean
    >;
    takeAttempt: FunctionReference<
      "mutation",
      "internal",
      {
        email: string;
      },
      Record<string, any>
    >;
  };
  chat: {
    answer: FunctionReference<
      "action",
      "internal",
      {
        answer_id: Id<"messages">;
        question: string;
        session_id?: string | null;
        user_id: Id<"users">;
      },
      null
    >;
    orders_of: FunctionReference<
      "query",
      "internal",
      {
        user_id: Id<"users">;
      },
      Array<number>
    >;
    shelf: FunctionReference<
      "query",
      "internal",
      {},
      Array<{
        about: string;
        name: string;
        price: number;
      }>
    >;
    write: FunctionReference<
      "mutation",
      "internal",
      {
        answer_id: Id<"messages">;
        state: "writing" | "done" | "failed";
        text: string;
      },
      null
    >;
  };
  orders: {
    place: FunctionReference<
      "mutation",
      "internal",
      {
        paid: number;
        payment: string;
        session_id?: string | null;
      },
      Id<"orders">
    >;
    to_pay: FunctionReference<
      "query",
      "internal",
      {},
      {
        discount: number;
        entries: Array<{
          price: number;
          product: Doc<"products">;
          quantity: number;
        }>;
        total: number;
      }
    >;
  };
  products: {
    stock: FunctionReference<
      "mutation",
      "internal",
      {},
      number
    >;
  };
};
