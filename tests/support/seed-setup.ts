import type { TestProject } from 'vitest/node';

/** The quick tier draws the same cases every time, so that a green run stays green. The other tiers draw new ones. */
export default function setup(project: TestProject): void {
  const isQuick = project.config.provide.tier === 'quick';
  const drawn = isQuick ? 20_260_302 : Math.floor(Math.random() * 2 ** 31);
  const seed = Number(process.env.SEED ?? drawn);
  if (!Number.isSafeInteger(seed))
    throw new Error(`SEED is "${process.env.SEED}": give a whole number, as a test run printed it.`);
  console.log(`Property tests: SEED=${seed}`);
  project.provide('seed', seed);
}
