import { expect, inject, it } from 'vitest';
import { openEmbedded } from './database.ts';
import { describeResult } from './report.ts';
import { runSimulation } from './run-simulation.ts';

it('the simulated engine keeps every promise for a day', async () => {
  const result = await runSimulation({ seed: 2, days: 1 }, () => openEmbedded(inject('snapshot')));
  expect(result.figures.deliveries).toBeGreaterThan(10);
  expect(result.violations, describeResult(result)).toEqual([]);
}, 300_000);
