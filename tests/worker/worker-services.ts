import { afterEach, vi } from 'vitest';
import { serverEnv } from '../../lib/services/env.ts';
import { makeServices, provideServices, type Services } from '../../lib/services/services.ts';

/** For a file whose tests run the worker or the agent in this process. */
export function workerServices() {
  afterEach(() => {
    provideServices(null);
    vi.restoreAllMocks();
  });
  return { provide, outputOf };
}

/** Provides services of a database that is not there. Returns everything that they log. */
async function provide(
  env: Record<string, string> = {},
  change: (made: Services) => Partial<Services> = () => ({}),
) {
  const supabase = { SUPABASE_URL: 'http://127.0.0.1', SUPABASE_SERVICE_ROLE_KEY: 'key' };
  const made = await makeServices({ ...serverEnv({ ...supabase, ...env }), logLevel: 'fatal' });
  const logged: Record<string, unknown>[] = [];
  const write = (fields: object) => void logged.push(fields as Record<string, unknown>);
  provideServices({ ...made, log: { info: write, warn: write, error: write }, ...change(made) });
  return logged;
}

/** Returns the exit code of a run, and everything that it prints. */
async function outputOf(run: () => Promise<number>): Promise<[code: number, output: string]> {
  let output = '';
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, 'write').mockImplementation((text) => {
      output += text;
      return true;
    });
  }
  return [await run(), output];
}
