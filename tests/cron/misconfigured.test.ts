import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { cronRoute } from '../../lib/cron/cron-route.ts';
import { queueEndpoint } from '../../lib/cron/handlers/find-endpoint.ts';
import { done } from '../../lib/engine/outcome.ts';
import { defineQueue } from '../../lib/engine/queue.ts';
import { noCounts } from '../../lib/engine/tick-report.ts';
import { SANDBOX_API_KEY } from '../../lib/sandbox/shapes/unipile-shape.ts';
import { apiRequest, bearer, CRON_SECRET } from '../support/api-server.ts';
import { deadUrl, replaceEnv, replaceServices } from '../support/replace-services.ts';
import { cronBench } from './cron-bench.ts';

const bench = await cronBench({ own: true });
const { database, sandbox, variables, tick, addAccount, addDms, ledger, messages } = bench;

/** Expects that a call fails with 503 and claims nothing. Returns the error. */
async function failure(pending = tick()) {
  const response = await pending;
  expect(response.status).toBe(503);
  for (const row of await messages()) expect(row).toMatchObject({ status: 'pending', attempts: 0 });
  return { retryAfter: response.headers.get('retry-after'), ...(await response.json()).error };
}

describe('a misconfigured server', () => {
  it('with no provider names the variables to set and claims nothing', async () => {
    await addDms(1, 'no provider');
    await replaceEnv({}, database.rpc);
    const { kind, variables: named, message } = await failure();
    expect(kind).toBe('not_configured');
    expect(named).toEqual(['UNIPILE_DSN', 'UNIPILE_API_KEY', 'WHATSAPP_ACCESS_TOKEN']);
    for (const variable of named) expect(message).toContain(variable);
    expect(await ledger()).toEqual([]);
  });

  it('leaves the rows of an unconfigured provider pending and sends the others', async () => {
    await database.sql(
      `insert into punctual.dm_queue (account_id, channel, recipient, body) values ($1, 'whatsapp', '+49151', 'one provider: waits')`,
      [await addAccount('whatsapp_cloud', '100200300')],
    );
    await addDms(1, 'one provider');
    await replaceEnv({ UNIPILE_DSN: sandbox.url, UNIPILE_API_KEY: SANDBOX_API_KEY }, database.rpc);
    expect(await (await tick()).json()).toMatchObject({ counts: { claimed: 1, done: 1 } });
    expect((await messages()).map(({ status }) => status)).toEqual(['pending', 'sent']);
  });

  it.each([
    ['too long a timeout', { timeoutMs: 60_000 }, /Set timeoutMs in .* to 43000 ms at most/],
    [
      'a connect that throws',
      {
        connect: () => {
          throw new Error(`no client for ${SANDBOX_API_KEY}`);
        },
      },
      /^dm_queue: connect threw an error, which is in the log\..* names the variables to set\.$/,
    ],
  ])(
    'with a queue that has %s says what to change, and reveals no secret',
    async (_label, changes, message) => {
      await addDms(1, 'odd');
      const queue = defineQueue({
        name: 'dm_queue',
        row: z.object({}),
        delivery: 'at-most-once',
        timeoutMs: 1_000,
        connect: () => null,
        perform: () => done(),
        ...changes,
      });
      const request = apiRequest('GET', '/api/cron/x', bearer(CRON_SECRET));
      const error = await failure(cronRoute(queueEndpoint(queue), { maxDuration: 60 })(request));
      expect(error).toMatchObject({
        kind: 'not_configured',
        message: expect.stringMatching(message),
        variables: [],
      });
      expect(error.message).not.toContain(SANDBOX_API_KEY);
    },
  );

  it('with a setting that does not fit its limit says what to change and where, and releases its rows', async () => {
    await addDms(2, 'too long');
    await database.sql('update punctual.queues set timeout_seconds = 46');
    const message = expect.stringMatching(
      /timeout of 46 s does not fit into a tick of 60 s: change it in punctual\.queues$/,
    );
    expect(await failure()).toMatchObject({ kind: 'registry', message });
  });
});

describe('a database', () => {
  it('that is down answers 503 with an error kind, the counts and Retry-After', async () => {
    await replaceEnv(variables);
    expect(await failure()).toMatchObject({
      kind: 'database_unavailable',
      counts: noCounts,
      message: expect.stringContaining('cannot be reached'),
      retryAfter: '5',
    });
  });

  it('that is not migrated answers 503 and says what to do', async () => {
    await database.sql('alter schema punctual rename to somewhere_else');
    try {
      const response = await tick();
      expect([response.status, response.headers.get('retry-after')]).toEqual([503, '5']);
      const message = expect.stringContaining('npm run migrate');
      expect((await response.json()).error).toMatchObject({ kind: 'database_misconfigured', message });
    } finally {
      await database.sql('alter schema somewhere_else rename to punctual');
    }
  });
});

describe('a server that has started nothing', () => {
  it('reads the environment again at the next call, so that you only set the variables', async () => {
    replaceServices(null);
    for (const name of ['SUPABASE_URL', 'SUPABASE_SERVICE_ROLE_KEY', 'STORE']) vi.stubEnv(name, '');
    vi.stubEnv('VERCEL', '1');
    const error = async () => (await (await tick()).json()).error;
    const named = ['SUPABASE_URL', 'SUPABASE_SECRET_KEY'];
    expect(await error()).toMatchObject({ kind: 'not_configured', variables: named });
    const env = { ...variables, SUPABASE_URL: deadUrl, SUPABASE_SERVICE_ROLE_KEY: 'key' };
    for (const [name, value] of Object.entries({ ...env, LOG_LEVEL: 'fatal' })) vi.stubEnv(name, value);
    expect(await error()).toMatchObject({ kind: 'database_unavailable' });
  });

  it('answers an error and does not throw if its embedded database cannot be opened', async () => {
    replaceServices(null);
    vi.stubEnv('STORE', 'embedded');
    // No directory can be created below a file.
    vi.stubEnv('PUNCTUAL_DATA', 'package.json/data');
    vi.stubEnv('LOG_LEVEL', 'fatal');
    const response = await tick();
    expect(response.status).toBeGreaterThanOrEqual(500);
    const { error } = await response.json();
    expect(error).toEqual({ kind: expect.any(String), message: expect.any(String) });
  });
});
