// Runs an app with the official @posthog/convex component on convex-test, as its docs write one:
// events from a mutation, flags from a query once definitions are loaded, remote flags from an action.
import { PostHog } from "@posthog/convex";
import { convexTest } from "convex-test";
import {
  actionGeneric as action, anyApi, componentsGeneric, defineSchema, mutationGeneric as mutation,
  queryGeneric as query,
} from "convex/server";
import * as api from "./node_modules/@posthog/convex/dist/component/_generated/api.js";
import * as server from "./node_modules/@posthog/convex/dist/component/_generated/server.js";
import * as lib from "./node_modules/@posthog/convex/dist/component/lib.js";
import schema from "./node_modules/@posthog/convex/dist/component/schema.js";

const posthog = new PostHog(componentsGeneric().posthog);
const shop = {
  order: mutation({
    args: {},
    handler: async (ctx) => {
      await posthog.identify(ctx, { distinctId: "ada", properties: { plan: "pro" } });
      await posthog.capture(ctx, {
        distinctId: "ada", event: "order_placed", properties: { total: 12.5 },
        groups: { company: "acme" },
      });
      await posthog.groupIdentify(ctx, {
        groupType: "company", groupKey: "acme", properties: { size: 7 },
      });
      await posthog.alias(ctx, { distinctId: "ada", alias: "anon-1" });
      await posthog.captureException(ctx, { error: new TypeError("no stock"), distinctId: "ada" });
    },
  }),
  load: action({ args: {}, handler: (ctx) => posthog.reloadFeatureFlags(ctx) }),
  local: query({
    args: {},
    handler: (ctx) => posthog.getAllFlagsAndPayloads(ctx, { distinctId: "ada" }),
  }),
  remote: action({
    args: {},
    handler: (ctx) => posthog.evaluateAllFlags(ctx, { distinctId: "ada" }),
  }),
};

const there = (module) => async () => module;
const app = convexTest(defineSchema({}), {
  "./_generated/api.js": there({}),
  "./shop.js": there(shop),
});
app.registerComponent("posthog", schema, {
  "./_generated/api.js": there(api),
  "./_generated/server.js": there(server),
  "./lib.js": there(lib),
});

await app.mutation(anyApi.shop.order, {});
await new Promise((resolve) => setTimeout(resolve, 0)); // what runs after 0 ms has begun
await app.finishInProgressScheduledFunctions();
await app.action(anyApi.shop.load, {});
console.log(JSON.stringify({
  local: await app.query(anyApi.shop.local, {}),
  remote: await app.action(anyApi.shop.remote, {}),
}));
process.exit(0);
