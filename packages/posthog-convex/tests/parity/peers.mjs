// The flag evaluators of posthog-node and @posthog/convex, unchanged, over worlds that come in as JSON lines.
//
// A line is {definitions, callers}; the answer is {node, convex}: for each caller, by flag key, [value, payload] or
// null where the evaluator gives up. Never evaluates by itself; callers get what the SDKs' own clients would add.

import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { PostHog } from 'posthog-node'

const client = createRequire(import.meta.url).resolve('@posthog/convex')
const evaluatorFile = join(dirname(client), 'feature-flags', 'evaluator.js')
const { LocalFeatureFlagEvaluator } = await import(pathToFileURL(evaluatorFile).href)

const noNetwork = async () => ({ status: 304, text: async () => '', json: async () => ({}), headers: { get: () => null } })
const posthog = new PostHog('phc_parity', {
  host: 'http://127.0.0.1:1', personalApiKey: 'phx_parity', fetch: noNetwork, featureFlagsPollingInterval: 2 ** 30,
})
const poller = posthog.featureFlagsPoller
await poller.loadFeatureFlags()
poller.loadFeatureFlags = async () => {}

async function askNode(caller) {
  const groupProperties = {}
  for (const [type, key] of Object.entries(caller.groups)) {
    groupProperties[type] = { $group_key: key, ...caller.groupProperties[type] }
  }
  const personProperties = { distinct_id: caller.distinctId, ...caller.person }
  const context = poller.createEvaluationContext(caller.distinctId, caller.groups, personProperties, groupProperties)
  const { response, payloads } = await poller.getAllFlagsAndPayloads(context)
  return Object.fromEntries(Object.entries(response).map(([key, value]) => [key, [value, payloads[key] ?? null]]))
}

async function askConvex(evaluator, keys, caller) {
  const found = {}
  for (const key of keys) {
    try {
      const result = await evaluator.getFeatureFlagResult(
        key, caller.distinctId, caller.groups, caller.person, caller.groupProperties)
      if (result !== undefined) found[key] = [result.value, result.payload ?? null]
    } catch {} // its client would throw here: no answer either
  }
  return found
}

for await (const line of createInterface({ input: process.stdin })) {
  const { definitions, callers } = JSON.parse(line)
  poller.updateFlagState(definitions)
  const evaluator = new LocalFeatureFlagEvaluator({
    flags: definitions.flags, cohorts: definitions.cohorts, groupTypeMapping: definitions.group_type_mapping,
    propertyMatchingVersion: definitions.property_matching_version,
  })
  const keys = definitions.flags.map((flag) => flag.key)
  const node = await Promise.all(callers.map(askNode))
  const convex = await Promise.all(callers.map((caller) => askConvex(evaluator, keys, caller)))
  console.log(JSON.stringify({ node, convex }))
}
process.exit(0)
