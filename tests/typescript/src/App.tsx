// As the docs of Convex and PostHog write it.
import { useState } from "react";
import { ConvexProvider, ConvexReactClient, useAction, useMutation, usePaginatedQuery, useQuery } from "convex/react";
import { ConvexHttpClient } from "convex/browser";
import type { FunctionArgs, FunctionReturnType } from "convex/server";
import { api, internal } from "../convex/_generated/api";
import type { Doc, Id, TableNames } from "../convex/_generated/dataModel";

const convex = new ConvexReactClient("http://127.0.0.1:3210");

export default function Main() {
  return (
    <ConvexProvider client={convex}>
      <App />
    </ConvexProvider>
  );
}

function App() {
  const viewer = useQuery(api.shop.viewer);
  const pong = useQuery(api.folder.deep.ping);
  const best = useQuery(api.shop.topCustomers, { limit: 3, plan: null });
  const everybody = useQuery(api.shop.topCustomers, {});
  const waiting = useQuery(api.shop.user, viewer ? { user_id: viewer._id } : "skip");
  if (viewer === undefined) return <p>Loading…</p>;
  if (viewer === null) return <p>Nobody</p>;
  const plan: "free" | "pro" | undefined = viewer.plan;
  const answer: "pong" | undefined = pong;
  return (
    <main>
      <h1>
        {viewer.name} {viewer.address.city?.toUpperCase()} {plan} {answer}
      </h1>
      <p>{waiting?.nickname ?? "no nickname"}</p>
      <ul>{(best ?? everybody ?? []).map((each) => <Row key={each._id} user={each} />)}</ul>
      <Orders user={viewer._id} />
    </main>
  );
}

function Row({ user }: { user: Doc<"users"> }) {
  return <li>{new Date(user._creationTime).toISOString()} {user.email}</li>;
}

function Orders({ user }: { user: Id<"users"> }) {
  const { results, status, loadMore } = usePaginatedQuery(api.shop.orders, { user }, { initialNumItems: 5 });
  const buy = useMutation(api.shop.buy);
  const refresh = useAction(api.shop.refresh);
  const [last, setLast] = useState<Id<"orders"> | null>(null);
  const order = async () => {
    const id = await buy({ user, units: 3n, receipt: new ArrayBuffer(2), prices: { one: 1.5 } });
    const counts = await refresh({ refreshToken: id });
    const count: bigint | undefined = counts[id];
    setLast(count === 0n ? null : id);
  };
  return (
    <>
      {results.map((each: Doc<"orders">) => (
        <p key={each._id}>{each.units.toString()} {each.receipt.byteLength} {each.prices["one"]?.toFixed()}</p>
      ))}
      <button disabled={status !== "CanLoadMore"} onClick={() => loadMore(5)}>more</button>
      <button onClick={order}>{last}</button>
    </>
  );
}

export const tables: TableNames[] = ["users", "orders"];
export type Bought = FunctionArgs<typeof api.shop.buy>;
export type Viewer = FunctionReturnType<typeof api.shop.viewer>;
export const cleanup = internal.shop.cleanup;

export async function once(): Promise<Viewer> {
  const client = new ConvexHttpClient("http://127.0.0.1:3210");
  await client.mutation(api.shop.buy, {
    user: "j57" as Id<"users">, units: 1n, receipt: new ArrayBuffer(0), prices: {}, note: "hi",
  });
  return await client.query(api.shop.viewer);
}
