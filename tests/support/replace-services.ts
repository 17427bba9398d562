import { onTestFinished } from 'vitest';
import { serverEnv } from '../../lib/services/env.ts';
import { makeServices, provideServices, type Services } from '../../lib/services/services.ts';
import { queueStore } from '../../lib/store/queue-store.ts';
import type { Rpc } from '../../lib/store/rpc.ts';
import { currentServices } from './api-server.ts';

/** Makes the routes use these services until the test ends. With null they make their own from the environment. */
export function replaceServices(services: Services | Promise<Services> | null): void {
  const before = currentServices();
  provideServices(services);
  onTestFinished(() => {
    provideServices(before);
  });
}

/** Changes the `rpc` and other services of the served database until the test ends. */
export async function replaceRpc(replace: (rpc: Rpc) => Rpc, changes: Partial<Services> = {}): Promise<void> {
  const made = (await currentServices()) as Services;
  const rpc = replace(made.rpc);
  const log = changes.log ?? made.log;
  replaceServices({ ...made, rpc, ports: { ...made.ports, log, store: queueStore(rpc) }, ...changes });
}

/** No server listens here. */
export const deadUrl = 'http://127.0.0.1:2';

/** Replaces the environment of the served database until the test ends. Without `rpc`, the database cannot be reached. */
export async function replaceEnv(
  variables: Record<string, string>,
  rpc?: Rpc,
  changes: Partial<Services> = {},
): Promise<void> {
  const required = { SUPABASE_URL: deadUrl, SUPABASE_SERVICE_ROLE_KEY: 'key', LOG_LEVEL: 'fatal' };
  const { env, lock, stats, ...made } = await makeServices(serverEnv({ ...required, ...variables }));
  await replaceRpc(() => rpc ?? made.rpc, { env, lock, stats, ...changes });
}
