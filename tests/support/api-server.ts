import { vi } from 'vitest';
import { signSession } from '../../lib/http/auth/session.ts';
import { serverEnv } from '../../lib/services/env.ts';
import { makeServices, provideServices, type Services } from '../../lib/services/services.ts';
import { queueStore } from '../../lib/store/queue-store.ts';
import { openTestDatabase, type TestDatabase } from './test-database.ts';

export const API_KEY = 'api-key-of-this-server';
export const CRON_SECRET = 'cron-secret-of-this-server';
export const VIEWER_KEY = 'key-that-may-only-read';
export const PASSWORD = 'password-of-the-dashboard';
export const VIEWER_PASSWORD = 'password-of-viewers';

const globals = globalThis as typeof globalThis & { punctual?: Promise<Services> };

/** Opens a test database that the routes of this process use until it is closed. */
export async function openServedDatabase(
  env: Record<string, string> = {},
  options: { own?: boolean } = {},
): Promise<TestDatabase> {
  const database = await openTestDatabase(options);
  const made = await makeServices(
    serverEnv({
      SUPABASE_URL: 'http://127.0.0.1',
      SUPABASE_SERVICE_ROLE_KEY: 'key',
      LOG_LEVEL: 'fatal',
      ...env,
    }),
  );
  const ports = { ...made.ports, store: queueStore(database.rpc) };
  provideServices({ ...made, rpc: database.rpc, ports });
  return {
    ...database,
    async close() {
      provideServices(null);
      await database.close();
    },
  };
}

/** Call it in `beforeEach`, and `vi.unstubAllEnvs` in `afterEach`. */
export function stubSecrets({ password = PASSWORD } = {}): void {
  vi.stubEnv('API_KEY', API_KEY);
  vi.stubEnv('API_KEYS', '');
  vi.stubEnv('VIEWER_API_KEY', VIEWER_KEY);
  vi.stubEnv('CRON_SECRET', CRON_SECRET);
  vi.stubEnv('CRON_SECRET_PREVIOUS', '');
  vi.stubEnv('DASHBOARD_PASSWORD', password);
  vi.stubEnv('DASHBOARD_VIEWER_PASSWORD', password && VIEWER_PASSWORD);
  vi.stubEnv('DASHBOARD_IDENTITY_HEADER', '');
}

export const currentServices = (): Promise<Services> | null => globals.punctual ?? null;

export type RequestHeaders = Record<string, string>;

export const bearer = (token: string): RequestHeaders => ({ authorization: `Bearer ${token}` });
export const withKey = bearer(API_KEY);
/** Returns the session cookie of a person who has just signed in to the dashboard. */
export const cookie = (name = 'Mira') => sessionOf(name, 'operator', PASSWORD);
/** Returns the session cookie of a person who may only read. */
export const viewerCookie = () => sessionOf('Ola', 'viewer', VIEWER_PASSWORD);

function sessionOf(name: string, role: 'operator' | 'viewer', password: string): RequestHeaders {
  return { cookie: `punctual_session=${signSession({ name, role }, password, Date.now())}` };
}

export function apiRequest(
  method: string,
  path: string,
  headers: RequestHeaders = withKey,
  body?: BodyInit,
): Request {
  return new Request(`http://app.test${path}`, { method, headers: { host: 'app.test', ...headers }, body });
}

// biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
export async function answered(pending: Promise<Response>): Promise<{ status: number; body: any }> {
  const response = await pending;
  return { status: response.status, body: await response.json() };
}
