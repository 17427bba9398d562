import { existsSync } from 'node:fs';
import path from 'node:path';
import { readSchedules } from '../worker/local-scheduler.ts';
import { runWorker, usage } from '../worker/run-worker.ts';
import { frequentCrons } from './plan.ts';
import { readAppPaths } from './project/init-files.ts';
import { loadApp } from './project/load-app.ts';
import type { Terminal } from './terminal.ts';

export { usage };

/** Runs the worker with the app's queues, or a region's agent. Returns the exit code when a signal ends it. */
export async function worker(args: string[], { folder, env, signal }: Terminal): Promise<number> {
  if (args.some((arg) => arg === '--region' || arg.startsWith('--region='))) {
    const { runRegionAgent } = await import('../worker/region-agent.ts');
    return runRegionAgent(args, signal);
  }
  await loadApp(folder);
  return runWorker(args, signal, env, (file) => {
    // Another file than vercel.json says how often this worker ticks.
    if (file !== 'vercel.json') return readSchedules(file);
    const isThere = existsSync(path.join(folder, file));
    const schedules = isThere ? readSchedules(file) : { crons: [], isPinned: () => false };
    return { ...schedules, crons: frequentCrons(schedules.crons, readAppPaths(folder)) };
  });
}
