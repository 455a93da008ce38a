// Flags through @posthog/convex: its own client and its own evaluator, unchanged.
//
// Reads a question file ({definitions, persons, seconds, samples}) and prints {values, ns}. Never evaluates by itself.
// The client gets the definitions row as its component's query returns it, without the cost of the query.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { PostHog } from '@posthog/convex'

const client = createRequire(import.meta.url).resolve('@posthog/convex')
const evaluatorFile = join(dirname(client), 'feature-flags', 'evaluator.js')
const { LocalFeatureFlagEvaluator } = await import(pathToFileURL(evaluatorFile).href)

const question = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const { flags, cohorts, group_type_mapping: groupTypeMapping } = question.definitions
const stored = JSON.stringify({ flags, groupTypeMapping, cohorts })
const row = { localEvalConfigured: true, data: stored, fetchedAt: 0, etag: 'one' }
const ctx = { runQuery: async () => row }
const posthog = new PostHog({ lib: { getFlagDefinitions: 'getFlagDefinitions' } })
const evaluator = new LocalFeatureFlagEvaluator(JSON.parse(stored))
const keys = flags.map((flag) => flag.key)
const persons = question.persons

const evaluate = ({ distinct_id, properties }, key) => evaluator.getFeatureFlag(key, distinct_id, {}, properties)
const read = ({ distinct_id, properties }, key) =>
  posthog.getFeatureFlag(ctx, { key, distinctId: distinct_id, personProperties: properties })
const readAll = ({ distinct_id, properties }) =>
  posthog.getAllFlags(ctx, { distinctId: distinct_id, personProperties: properties })

// Nanoseconds a step, in `samples` samples of about `seconds`; the first is thrown away.
async function time(step, perStep) {
  const found = []
  for (let sample = 0; sample <= question.samples; sample++) {
    const started = process.hrtime.bigint()
    const until = started + BigInt(Math.round(question.seconds * 1e9))
    let steps = 0
    while (process.hrtime.bigint() < until) {
      for (let i = 0; i < perStep.batch; i++) await step(steps++)
    }
    if (sample > 0) found.push(Number(process.hrtime.bigint() - started) / (steps * perStep.flags))
  }
  return found
}

const person = (n) => persons[n % persons.length]
const key = (n) => keys[n % keys.length]
const values = []
for (const each of persons) values.push(await Promise.all(keys.map((name) => evaluate(each, name))))

const ns = {
  evaluator: await time((n) => evaluate(person(n), key(n)), { batch: 100, flags: 1 }),
  read: await time((n) => read(person(n), key(n)), { batch: 1, flags: 1 }),
  all: await time((n) => readAll(person(n)), { batch: 1, flags: keys.length }),
}
console.log(JSON.stringify({ keys, values, ns }))
