// A visitor of the shop through the official Convex client, driven by JSON lines on standard input:
// {"op":"watch","path":…,"args":…}, {"op":"mutation","id":…,"path":…,"args":…}, {"op":"close"}.
// Every update and result leaves as a JSON line on standard output.
import { createInterface } from "node:readline";
import { ConvexClient } from "convex/browser";
import { anyApi } from "convex/server";

const client = new ConvexClient(process.argv[2]);
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const reference = (path) =>
  path.split(/[:/]/).reduce((api, part) => api[part], anyApi);

const operations = {
  watch: ({ path, args }) =>
    client.onUpdate(
      reference(path),
      args,
      (value) => say({ event: "update", path, value }),
      (error) => say({ event: "failed", path, error: String(error) }),
    ),
  mutation: ({ id, path, args }) =>
    client.mutation(reference(path), args).then(
      (value) => say({ event: "result", id, value }),
      (error) => say({ event: "refused", id, error: String(error), data: error.data ?? null }),
    ),
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  if (command.op === "close") break;
  operations[command.op](command);
}
await client.close();
