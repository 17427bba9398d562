import path from 'node:path';
import fc from 'fast-check';
import { expect, inject } from 'vitest';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Which tests run: the quick tier, both tiers, or those on real Postgres. */
    tier: 'quick' | 'all' | 'real';
    /** The seed of every property of this run: SEED, or the one that `seed-setup` chooses. */
    seed: number;
  }
}

export const seed = inject('seed');

/** How many cases to draw: fewer in the quick tier, and over REST, where each step is a call. */
export const runs = (counts: { quick: number; all: number; real?: number }): number =>
  inject('tier') === 'real' ? (counts.real ?? counts.all) : counts[inject('tier') as 'quick' | 'all'];

/** Shrinking a case over a database may take minutes. After this time the smallest case so far is reported. */
const maxShrinkMs = 20_000;

/**
 * Checks a property with this run's seed. A failure is one line: the smallest counterexample found, the error, and the command that repeats
 * it.
 */
export async function assertProperty<Values>(
  property: fc.IRawProperty<Values>,
  parameters: fc.Parameters<Values> = {},
): Promise<void> {
  const result = await fc.check(shrinkingInTime(property), { ...parameters, seed });
  if (!result.failed) return;
  const { counterexample, errorInstance, numRuns, numShrinks } = result;
  const broken = errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
  const summary = `${fc.stringify(counterexample)} breaks it: ${broken} (case ${numRuns}, shrunk ${numShrinks} times).`;
  throw new Error(`${summary} Repeat: ${replayCommand()}`.replaceAll(/\s+/g, ' '), { cause: errorInstance });
}

function replayCommand(): string {
  const { testPath = '', currentTestName = '' } = expect.getState();
  const script = inject('tier') === 'quick' ? 'npm test' : `npm run test:${inject('tier')}`;
  // The name is a pattern in single quotes. Characters that are special in either become `.`.
  const name = (currentTestName.split(' > ').at(-1) ?? '').replaceAll(/[\\^$*+?()[\]{}|']/g, '.');
  return `SEED=${seed} ${script} -- ${path.relative(process.cwd(), testPath)} -t '${name}'`;
}

function shrinkingInTime<Values>(property: fc.IRawProperty<Values>): fc.IRawProperty<Values> {
  if (!property.isAsync()) return property;
  let failedAt: number | null = null;
  const run = property.run.bind(property) as (
    value: Values,
  ) => Promise<Awaited<ReturnType<typeof property.run>>>;
  property.run = (async (value: Values) => {
    if (failedAt !== null && performance.now() - failedAt > maxShrinkMs) return null;
    const failure = await run(value);
    if (failure !== null) failedAt ??= performance.now();
    return failure;
  }) as typeof property.run;
  return property;
}
