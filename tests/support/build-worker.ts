import { execFileSync } from 'node:child_process';

/** Compiles the worker and the command-line tools into dist/, as `npm run worker` does. Several tests may call it at once. */
export function buildWorker(): void {
  execFileSync(process.execPath, ['scripts/build-worker.mjs']);
}
