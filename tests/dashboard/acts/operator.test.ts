import { beforeEach, expect, it, vi } from 'vitest';
import { startAct, steerAct } from '../../../app/(dashboard)/acts/actions.ts';
import { signSession } from '../../../lib/http/auth/session.ts';
import { setPageHeaders } from '../../support/page-headers.ts';

vi.mock('next/headers', async () => (await import('../../support/page-headers.ts')).nextHeaders);

const passwords = { operator: 'the password of operators', viewer: 'the password of viewers' };

beforeEach(() => {
  vi.stubEnv('DASHBOARD_PASSWORD', passwords.operator);
  vi.stubEnv('DASHBOARD_VIEWER_PASSWORD', passwords.viewer);
  return () => vi.unstubAllEnvs();
});

function visit(role: 'operator' | 'viewer', more: Record<string, string> = {}): void {
  const session = signSession({ name: 'Vera', role }, passwords[role], Date.now());
  setPageHeaders({
    cookie: `punctual_session=${session}`,
    host: 'app.test',
    origin: 'http://app.test',
    ...more,
  });
}

function form(fields: Record<string, string>): FormData {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) data.set(name, value);
  return data;
}

const retry = form({ queue: 'dm_queue', rows: '{"action":"retry","filter":{"status":["failed"]}}' });
const stop = form({ id: '1', verb: 'stop' });

it.each([
  ['startAct', () => startAct(null, retry)],
  ['steerAct', () => steerAct(null, stop)],
])('%s refuses a viewer, a person without a session, and a request from another site', async (_name, act) => {
  visit('viewer');
  expect(await act()).toEqual({ problem: expect.stringContaining('you are signed in as a viewer') });
  setPageHeaders({ host: 'app.test' });
  expect(await act()).toEqual({ problem: expect.stringContaining('sign in to the dashboard') });
  visit('operator', { origin: 'https://other.test' });
  expect(await act()).toEqual({ problem: expect.stringContaining('must come from the dashboard') });
});
