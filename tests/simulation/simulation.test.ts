import { expect, inject, it } from 'vitest';
import { openEmbedded } from './database.ts';
import { describeResult } from './report.ts';
import { runSimulation } from './run-simulation.ts';

const open = () => openEmbedded(inject('snapshot'));

it('the simulated engine keeps every promise for six hours, and the same seed repeats the run exactly', async () => {
  const first = await runSimulation({ seed: 3, days: 0.25 }, open);
  expect(first.figures.deliveries).toBeGreaterThan(10);
  expect(first.violations, describeResult(first)).toEqual([]);

  const again = await runSimulation({ seed: 3, days: 0.25 }, open);
  expect(again.hash).toBe(first.hash);
  expect(again.figures).toEqual({ ...first.figures, seconds: again.figures.seconds });
}, 300_000);
