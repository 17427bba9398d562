import type { Jobs } from '../jobs/find-job.ts';
import type { AnyQueue } from './find-queue.ts';

interface App {
  queues: readonly AnyQueue[];
  jobs: Jobs;
}

/** Next bundles routes and pages apart: each bundle has its own copy of this module, and all share the definition. */
const globals = globalThis as typeof globalThis & { punctualApp?: App };

/** Makes these the queues and jobs of the process. A hot reload replaces them. */
export function registerApp(app: App): void {
  globals.punctualApp = app;
}

/** Returns the queues and jobs of the process. Throws an error if nothing has imported their definition. */
export function registeredApp(): App {
  if (globals.punctualApp) return globals.punctualApp;
  throw new Error(
    'this process has no queues: import the file that calls definePunctual, such as punctual.ts',
  );
}
