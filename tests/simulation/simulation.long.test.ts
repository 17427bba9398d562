import { readFileSync } from 'node:fs';
import { expect, inject, it } from 'vitest';
import { openEmbedded } from './database';
import { describeResult } from './report';
import { runSimulation } from './run-simulation';

/** Seeds that once broke a promise, each with the reason why. They are played as long as it takes to meet it. */
const known = JSON.parse(readFileSync(new URL('seeds.json', import.meta.url), 'utf8')) as {
  seed: number;
  days: number;
  why: string;
}[];

const open = () => openEmbedded(inject('snapshot'));

it.each([{ seed: 2, days: 1, why: 'a first one' }, ...known])(
  'keeps every promise in the world of seed $seed ($why)',
  async ({ seed, days }) => {
    const result = await runSimulation({ seed, days }, open);
    expect(result.figures.deliveries).toBeGreaterThan(10);
    expect(result.violations, describeResult(result)).toEqual([]);
  },
  300_000,
);
