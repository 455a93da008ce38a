// Every line below a mark is a mistake that the compiler has to find.
import { useMutation, useQuery } from "convex/react";
import { api } from "../convex/_generated/api";
import type { Doc, Id } from "../convex/_generated/dataModel";

export function Mistakes({ order }: { order: Doc<"orders"> }) {
  // @ts-expect-error no such function
  useQuery(api.shop.nobody);
  // @ts-expect-error an internal function is no part of `api`
  useMutation(api.shop.cleanup);
  // @ts-expect-error an argument is missing
  useQuery(api.shop.user, {});
  // @ts-expect-error an id of another table
  useQuery(api.shop.user, { user_id: order._id });
  // @ts-expect-error a plan that isn't sold
  useQuery(api.shop.topCustomers, { plan: "gold" });
  // @ts-expect-error a query is no mutation
  useMutation(api.shop.viewer);
  const buy = useMutation(api.shop.buy);
  // @ts-expect-error a 64-bit integer is a bigint
  void buy({ user: order.user, units: 3, receipt: new ArrayBuffer(0), prices: {} });
  // @ts-expect-error no such table
  const id: Id<"nothing"> = order._id;
  // @ts-expect-error no such field
  return <p>{order.price}{id}</p>;
}
