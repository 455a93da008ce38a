// Sends one LLM trace or one log line with official exporters: `node otel_driver.mjs HOW HOST TOKEN`.
import { OTLPLogExporter as LogsAsJson } from "@opentelemetry/exporter-logs-otlp-http";
import { OTLPLogExporter as LogsAsProtobuf } from "@opentelemetry/exporter-logs-otlp-proto";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { LoggerProvider, SimpleLogRecordProcessor } from "@opentelemetry/sdk-logs";
import { BasicTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { trace, context } from "@opentelemetry/api";
import { PostHogSpanProcessor, PostHogTraceExporter } from "@posthog/ai/otel";

const [how, host, token] = process.argv.slice(2);
const headers = { authorization: `Bearer ${token}` };
const resource = resourceFromAttributes({ "service.name": "shop" });

async function llmTrace(processor) {
  const provider = new BasicTracerProvider({ resource, spanProcessors: [processor] });
  const tracer = provider.getTracer("test");
  const agent = tracer.startSpan("agent run", {
    attributes: { "gen_ai.operation.name": "invoke_agent", "posthog.distinct_id": "ada" },
  });
  const within = trace.setSpan(context.active(), agent);
  const call = tracer.startSpan("chat gpt-4o-mini", {
    attributes: {
      "gen_ai.operation.name": "chat",
      "gen_ai.request.model": "gpt-4o-mini",
      "gen_ai.provider.name": "openai",
      "gen_ai.usage.input_tokens": 1000,
      "gen_ai.usage.output_tokens": 100,
      "gen_ai.input.messages": JSON.stringify([{ role: "user", content: "soft?" }]),
      "gen_ai.output.messages": JSON.stringify([{ role: "assistant", content: "yes" }]),
      "posthog.distinct_id": "ada",
    },
  }, within);
  call.end();
  tracer.startSpan("GET /cart", { attributes: { "http.method": "GET" } }, within).end();
  agent.end();
  await provider.forceFlush();
  await provider.shutdown();
}

async function logLine(exporter) {
  const provider = new LoggerProvider({
    resource, processors: [new SimpleLogRecordProcessor({ exporter })],
  });
  provider.getLogger("cart", "1.2").emit({
    severityNumber: 13, severityText: "WARN", body: "stock is low",
    attributes: { posthogDistinctId: "ada", left: 2, tags: ["a", "b"] },
  });
  await provider.forceFlush();
  await provider.shutdown();
}

const logs = { url: `${host}/i/v1/logs`, headers };
const ways = {
  "posthog-processor": () => llmTrace(new PostHogSpanProcessor({ projectToken: token, host })),
  "posthog-exporter": () =>
    llmTrace(new SimpleSpanProcessor(new PostHogTraceExporter({ projectToken: token, host }))),
  "otlp-json": () => llmTrace(new SimpleSpanProcessor(
    new OTLPTraceExporter({ url: `${host}/i/v0/ai/otel/v1/traces`, headers }))),
  "logs-json": () => logLine(new LogsAsJson(logs)),
  "logs-protobuf": () => logLine(new LogsAsProtobuf(logs)),
};
await ways[how]();
