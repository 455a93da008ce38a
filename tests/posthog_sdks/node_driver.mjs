// Runs calls on an official posthog-node client: one JSON line in, one JSON line out.
// The first line holds the arguments of the constructor; every other one is {"method", "args"}.
import { createInterface } from "node:readline";
import { PostHog } from "posthog-node";

let client;
for await (const line of createInterface({ input: process.stdin })) {
  const call = JSON.parse(line);
  let answer;
  try {
    if (client === undefined) {
      client = new PostHog(call.token, call.options);
      client.on("error", (error) => process.stderr.write(`${error}\n`));
      answer = { value: true };
    } else {
      const value = await client[call.method](...call.args);
      answer = { value: value === undefined ? null : value };
    }
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
await client.shutdown();
