/* eslint-disable */
/**
 * References to the functions of this app, written by `pyconvex codegen` and `pyconvex dev`.
 * Edits are lost when it is written again.
 */

import { anyApi } from "convex/server";

export const api = anyApi;
export const internal = anyApi;
