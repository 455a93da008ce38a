/* eslint-disable */
/**
 * The tables of this app, written by `pyconvex codegen` and `pyconvex dev`.
 * Edits are lost when it is written again.
 */

export {};
