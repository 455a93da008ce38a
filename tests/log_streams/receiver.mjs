// A receiver of Convex's webhook log streams as its documentation describes one: raw bytes, an
// HMAC-SHA256 of them, and no body whose first event is older than five minutes. It prints what it
// took as JSON lines. A POST to /secret sets the secret; before, it takes what comes.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const WINDOW_MS = 5 * 60 * 1000;
let secret = null;

function isSigned(body, signature) {
  const expected = Buffer.from(
    "sha256=" + createHmac("sha256", secret).update(body).digest("hex"),
  );
  const given = Buffer.from(signature ?? "");
  return given.length === expected.length && timingSafeEqual(given, expected);
}

function eventsIn(body) {
  const text = body.toString("utf8");
  return text.startsWith("[")
    ? JSON.parse(text)
    : text.split("\n").map((line) => JSON.parse(line));
}

function take(body, signature) {
  if (secret !== null && !isSigned(body, signature)) return [401, "not signed"];
  const events = eventsIn(body);
  if (Date.now() - events[0].timestamp > WINDOW_MS) return [403, "too old"];
  for (const event of events) console.log(JSON.stringify(event));
  return [200, "ok"];
}

const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(chunks);
    if (request.url === "/secret") secret = body.toString("utf8");
    const [status, said] =
      request.url === "/secret"
        ? [200, "ok"]
        : take(body, request.headers["x-webhook-signature"]);
    response.writeHead(status, { "content-type": "text/plain" });
    response.end(said);
  });
});
server.listen(0, "127.0.0.1", () => {
  console.log(JSON.stringify({ port: server.address().port }));
});
