// Drives an official npm client for a test: one JSON command a line in, one JSON answer a line out.
// Argument: the package, so that two releases can be installed side by side.
// Values travel in Convex's own JSON, so that integers and bytes survive the way to the test.
import { createInterface } from "node:readline";

const packageName = process.argv[2];
const { ConvexClient, ConvexHttpClient } = await import(`${packageName}/browser`);
const { makeFunctionReference } = await import(`${packageName}/server`);
const { ConvexError, convexToJson, jsonToConvex } = await import(`${packageName}/values`);

const say = (message) => process.stdout.write(JSON.stringify(message) + "\n");
// What the client prints (log lines of functions among it) is part of what is tested.
for (const level of ["log", "info", "warn", "error", "debug"])
  console[level] = (...parts) => say({ printed: parts.map(String).join(" "), level });

const named = (path) => makeFunctionReference(path);
const encoded = (value) => convexToJson(value === undefined ? null : value);
const described = (error) => ({
  name: error instanceof ConvexError ? "ConvexError" : error.name,
  message: error.message,
  ...(error instanceof ConvexError ? { data: encoded(error.data) } : {}),
});

let url, http, live;
const client = () => (live ??= new ConvexClient(url));
const subscriptions = new Map();
const loaders = new Map();

const commands = {
  // New clients, of this deployment; those of the last one are closed.
  open: async (deployment) => {
    await live?.close();
    live = undefined;
    url = deployment.url;
    http = new ConvexHttpClient(url);
  },
  httpQuery: ({ path, args }) => http.query(named(path), args),
  httpConsistentQuery: ({ path, args }) => http.consistentQuery(named(path), args),
  httpMutation: ({ path, args }) => http.mutation(named(path), args),
  httpAction: ({ path, args }) => http.action(named(path), args),
  httpSetAdminAuth: ({ key, actingAs }) => http.setAdminAuth(key, actingAs),
  httpSetAuth: ({ token }) => http.setAuth(token),
  httpFunction: ({ path, args }) => http.function(named(path), undefined, args),
  subscribe: ({ name, path, args }) => {
    const stop = client().onUpdate(
      named(path),
      args,
      (value) => say({ subscription: name, value: encoded(value) }),
      (error) => say({ subscription: name, error: described(error) }),
    );
    subscriptions.set(name, stop);
  },
  unsubscribe: ({ name }) => subscriptions.get(name)(),
  // All pages of a query as one list, which this client loads, splits and joins itself.
  subscribePages: ({ name, path, args, initialNumItems }) => {
    const pages = client().onPaginatedUpdate_experimental(
      named(path),
      args,
      { initialNumItems },
      ({ results, status, loadMore }) => {
        loaders.set(name, loadMore);
        say({ pages: name, results: results.map(encoded), status });
      },
      (error) => say({ pages: name, error: described(error) }),
    );
    subscriptions.set(name, pages);
  },
  loadMore: ({ name, numItems }) => loaders.get(name)(numItems),
  mutation: ({ path, args }) => client().mutation(named(path), args),
  action: ({ path, args }) => client().action(named(path), args),
  query: ({ path, args }) => client().query(named(path), args),
  setAdminAuth: ({ key, actingAs }) => client().client.setAdminAuth(key, actingAs),
  // A fetcher that has the one token, as an app with a session would; says what became of it.
  setAuth: ({ token }) => client().setAuth(async () => token, (ok) => say({ authenticated: ok })),
  // A fetcher that gives the next of these tokens whenever a fresh one is asked for, and stays with the last.
  setTokens: ({ tokens }) => {
    let current = 0;
    const fetch = async ({ forceRefreshToken }) => {
      if (forceRefreshToken) current = Math.min(current + 1, tokens.length - 1);
      say({ fetched: forceRefreshToken ? current : "cached" });
      return tokens[current];
    };
    client().setAuth(fetch, (ok) => say({ authenticated: ok }));
  },
  clearAuth: () => client().client.clearAuth(),
  httpClearAuth: () => http.clearAuth(),
  // Says after each Transition whether a query has a result, which is what a page renders.
  watchLoading: ({ path, args }) => {
    const base = client().client;
    const canonical = path.includes(":") ? path : `${path}:default`;
    base.addOnTransitionHandler(() =>
      say({ loading: base.localQueryResult(canonical, args) === undefined }),
    );
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, command, ...fields } = JSON.parse(line);
  // Not awaited: commands overlap as calls of an app do.
  Promise.resolve()
    .then(() => commands[command]({ ...fields, args: jsonToConvex(fields.args ?? null) }))
    .then(
      (value) => say({ id, value: encoded(value) }),
      (error) => say({ id, error: described(error) }),
    );
}
await live?.close();
