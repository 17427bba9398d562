import { describe, expect, it, vi } from 'vitest';
import { GET } from '../../app/api/cron/dm-queue/route.ts';
import { endpoints as dmsApi } from '../../lib/api/dms.ts';
import type { Log } from '../../lib/engine/ports/log.ts';
import { noCounts } from '../../lib/engine/tick-report.ts';
import { SANDBOX_API_KEY } from '../../lib/sandbox/shapes/unipile-shape.ts';
import { SANDBOX_ACCESS_TOKEN } from '../../lib/sandbox/shapes/whatsapp-shape.ts';
import { API_KEY, apiRequest, bearer, CRON_SECRET, type RequestHeaders } from '../support/api-server.ts';
import { deadUrl, replaceEnv, replaceServices } from '../support/replace-services.ts';
import { cronBench } from './cron-bench.ts';

const { 'POST /dms': postDms } = dmsApi;

const PREVIOUS = 'cron-secret-of-last-month';
const bench = await cronBench();
const { database, sandbox, variables, tick, addAccount, addDms, ledger, messages, delivered } = bench;

describe('a call with the secret', () => {
  it.each(['GET', 'POST'] as const)('by %s returns the full report of its tick', async (method) => {
    const response = await tick(undefined, method);
    expect(response.status).toBe(200);
    const report = await response.json();
    expect(report).toEqual({
      queue: 'dm_queue',
      partition: 'main',
      tick: expect.stringMatching(/^[0-9a-f-]{36}$/),
      scheduler: 'http',
      slot: null,
      continuation: 0,
      runId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      outcome: 'idle',
      ended: 'drained',
      counts: noCounts,
      budgetMs: 45_000,
      batchLimit: 30,
      concurrency: 5,
      maxContinuations: 10,
      usedMs: expect.any(Number),
      lock: 'none',
      backlogDue: 0,
      nextDueInMs: null,
      performMs: { p50: null, p95: null },
      exchanges: 1,
      duplicate: false,
    });
    expect(await ledger()).toMatchObject([{ id: report.tick, admitted: true, outcome: 'idle' }]);
  });

  it('sends the messages that POST /api/dms queued, and settles each row with the provider’s id', async () => {
    const linkedin = { account_id: await addAccount('unipile', 'linkedin-of-ann'), channel: 'linkedin' };
    const whatsapp = { account_id: await addAccount('whatsapp_cloud', '100200300'), channel: 'whatsapp' };
    const bodies = [
      { ...linkedin, recipient: 'bob', body: 'e2e: hello\nBob 👋' },
      { ...whatsapp, recipient: '+4915112345678', body: 'e2e: hello by phone' },
      { ...linkedin, chat_id: 'linkedin-of-ann__carol', body: 'e2e: hello Carol' },
    ];
    const created = await postDms(apiRequest('POST', '/api/dms', undefined, JSON.stringify(bodies)));
    expect(created.status).toBe(201);

    const counts = { ...noCounts, claimed: 3, done: 3 };
    expect(await (await tick()).json()).toMatchObject({ outcome: 'ran', counts, backlogDue: 0 });

    const deliveries = delivered('e2e:');
    expect(deliveries.map(({ account, recipient, text }) => ({ account, recipient, text }))).toEqual(
      expect.arrayContaining([
        { account: 'linkedin-of-ann', recipient: 'bob', text: bodies[0]?.body },
        { account: '100200300', recipient: '+4915112345678', text: bodies[1]?.body },
        { account: 'linkedin-of-ann', recipient: 'carol', text: bodies[2]?.body },
      ]),
    );
    for (const row of await messages()) {
      expect(row).toMatchObject({ status: 'sent', attempts: 1, last_error: null, lease_expires_at: null });
      const delivery = deliveries.find(({ id }) => id === row.provider_message_id);
      expect(delivery?.text).toBe(row.body);
      // The provider accepted the message less than 10 s before the database settled it.
      const lateMs = Date.parse(row.sent_at) - Date.parse(delivery?.at ?? '');
      expect(lateMs).toBeGreaterThanOrEqual(-50);
      expect(lateMs).toBeLessThan(10_000);
    }

    expect(await (await tick()).json()).toMatchObject({ outcome: 'idle', counts: noCounts });
    expect(delivered('e2e:')).toHaveLength(3);
  });

  it('sends each message once and never fails when it is made 100 times at once', async () => {
    await addDms(20, 'hundred');
    const methods = Array.from({ length: 100 }, (_, n) => (n % 2 ? 'GET' : 'POST'));
    const calls = await Promise.all(methods.map((method) => tick(undefined, method)));
    expect(new Set(calls.map((call) => call.status))).toEqual(new Set([200]));
    const reports = await Promise.all(calls.map((call) => call.json()));
    expect(reports.filter(({ outcome }) => outcome === 'skipped').length).toBeGreaterThan(0);
    expect(reports.reduce((sum, { counts }) => sum + counts.done, 0)).toBe(20);
    expect(new Set((await messages()).map(({ status }) => status))).toEqual(new Set(['sent']));
    expect(delivered('hundred')).toHaveLength(20);
  });

  it('is accepted with the previous secret while CRON_SECRET_PREVIOUS is set', async () => {
    const statuses = async () => [
      (await tick(bearer(PREVIOUS))).status,
      (await tick(bearer(CRON_SECRET))).status,
    ];
    vi.stubEnv('CRON_SECRET_PREVIOUS', PREVIOUS);
    expect(await statuses()).toEqual([200, 200]);
    vi.stubEnv('CRON_SECRET_PREVIOUS', '');
    expect(await statuses()).toEqual([401, 200]);
  });
});

describe('a call without the secret', () => {
  const url = `http://app.test/api/cron/dm-queue?secret=${CRON_SECRET}&token=${CRON_SECRET}`;
  const vercel = { 'user-agent': 'vercel-cron/1.0', 'x-vercel-cron-schedule': '* * * * *' };
  const others = { 'x-api-key': CRON_SECRET, cookie: `punctual_session=${CRON_SECRET}` };
  it.each([
    ['the name of Vercel', () => tick(vercel)],
    ['the secret in another header', () => tick(others)],
    ['the secret in its URL', () => GET(new Request(url))],
  ])('but with %s is refused and changes nothing', async (_label, call) => {
    await addDms(1, 'refused');
    const response = await call();
    expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
    const message =
      'the secret is missing or wrong: send "Authorization: Bearer $CRON_SECRET" with the CRON_SECRET of this server';
    expect(await response.json()).toEqual({ error: { kind: 'unauthorised', message } });
    expect(await ledger()).toEqual([]);
    const ticked = await database.sql('select distinct last_tick_at from punctual.partitions');
    expect(ticked).toEqual([{ last_tick_at: null }]);
    expect(await messages()).toMatchObject([{ status: 'pending', attempts: 0, claim_id: null }]);
  });

  it('is refused before the environment is read, so a misconfigured server reveals nothing', async () => {
    replaceServices(null);
    vi.stubEnv('VERCEL', '1');
    expect((await tick(bearer('guess'))).status).toBe(401);
  });
});

describe('the ledger', () => {
  const thisYear = new Date(Date.UTC(new Date().getUTCFullYear(), 0, 1)).toISOString();
  const vercel = { 'user-agent': 'vercel-cron/1.0', 'x-vercel-cron-schedule': '0 0 1 1 *' };
  const ours = { 'x-punctual-scheduler': 'local', 'x-punctual-slot': '2026-03-02T13:00:00+01:00' };
  it.each<[label: string, headers: RequestHeaders, scheduler: string, slot: string | null]>([
    ['Vercel', vercel, 'vercel', thisYear],
    ['a scheduler of ours behind Vercel', { ...vercel, ...ours }, 'local', '2026-03-02T12:00:00.000Z'],
    ['another', { 'x-punctual-scheduler': '<b>', 'x-punctual-slot': 'noon' }, 'http', null],
  ])('records the scheduler and the slot of a call by %s', async (_label, headers, scheduler, slot) => {
    const response = await tick({ ...bearer(CRON_SECRET), ...headers });
    expect(await response.json()).toMatchObject({ scheduler, slot });
    const [entry] = await ledger();
    expect(entry.scheduler).toBe(scheduler);
    expect(entry.slot && new Date(entry.slot).toISOString()).toBe(slot);
  });

  it('marks the second delivery of a slot as a duplicate and still runs it', async () => {
    const headers = { ...bearer(CRON_SECRET), 'x-punctual-slot': '2026-03-02T12:00:00Z' };
    for (const duplicate of [false, true]) {
      await addDms(1, `duplicate ${duplicate}`);
      expect(await (await tick(headers)).json()).toMatchObject({ duplicate, counts: { done: 1 } });
    }
  });
});

describe('every response', () => {
  const WRONG_KEY = 'unipile-key-that-was-revoked';
  const SERVICE_ROLE_KEY = 'service-role-key-of-this-project';
  const secrets = [CRON_SECRET, API_KEY, SERVICE_ROLE_KEY, SANDBOX_API_KEY, SANDBOX_ACCESS_TOKEN, WRONG_KEY];
  const logged: string[] = [];
  const write = (fields: object, message: string) => void logged.push(`${JSON.stringify(fields)} ${message}`);
  const log: Log = { info: write, warn: write, error: write };
  const on = (env: Record<string, string>, rpc?: typeof database.rpc) =>
    replaceEnv({ SUPABASE_SERVICE_ROLE_KEY: SERVICE_ROLE_KEY, ...env }, rpc, { log });
  const unipile = (UNIPILE_DSN: string, UNIPILE_API_KEY: string) =>
    on({ UNIPILE_DSN, UNIPILE_API_KEY }, database.rpc);

  it.each<[label: string, status: number, prepare: () => Promise<unknown> | undefined]>([
    ['a tick that sends a message', 200, () => on(variables, database.rpc).then(() => addDms(1, 'answer'))],
    ['an idle tick', 200, () => on(variables, database.rpc)],
    ['a refused call', 401, () => void vi.stubEnv('CRON_SECRET', 'another')],
    ['a call while CRON_SECRET is not set', 503, () => void vi.stubEnv('CRON_SECRET', '')],
    ['a call while no provider is configured', 503, () => on({}, database.rpc)],
    ['a call while the database is down', 503, () => on(variables)],
    [
      'a tick whose provider refuses our key',
      200,
      () => unipile(sandbox.url, WRONG_KEY).then(() => addDms(1, 'revoked')),
    ],
    [
      'a tick whose provider cannot be reached',
      200,
      () => unipile(deadUrl, SANDBOX_API_KEY).then(() => addDms(1, 'gone')),
    ],
  ])('to %s forbids caching and contains no secret', async (_label, status, prepare) => {
    logged.length = 0;
    await prepare();
    const response = await tick();
    expect(response.status).toBe(status);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    });
    const stored = [await ledger(), await messages(), await database.sql('table punctual.providers')];
    const seen = JSON.stringify([await response.text(), [...response.headers], stored, logged]);
    for (const secret of secrets) expect(seen).not.toContain(secret);
  });
});
