import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { GET as sendByGet } from '../../../app/api/cron/dm-queue/route.ts';
import { answerApi } from '../../../lib/api/answer-api.ts';
import { cronRoute } from '../../../lib/cron/cron-route.ts';
import { reconcileHandler } from '../../../lib/cron/handlers/reconcile-handler.ts';
import { StoreError } from '../../../lib/engine/ports/store-error.ts';
import { defineQueue } from '../../../lib/engine/queue.ts';
import { noQuery } from '../../../lib/http/query.ts';
import { dmQueue } from '../../../lib/queues/dm-queue/queue.ts';
import { posts } from '../../../lib/queues/posts/queue.ts';
import { startSandbox } from '../../../lib/sandbox/sandbox.ts';
import { SANDBOX_API_KEY } from '../../../lib/sandbox/shapes/unipile-shape.ts';
import { answered, apiRequest, bearer, CRON_SECRET } from '../../support/api-server.ts';
import { servedDatabase } from '../../support/fixtures.ts';
import { replaceEnv, replaceRpc } from '../../support/replace-services.ts';

const GET = (request: Request) => answerApi(request, ['cron', 'reconcile'], {});
const POST = (request: Request) => answerApi(request, ['cron', 'reconcile'], {});

const sandbox = await startSandbox();
afterAll(() => sandbox.close());
const env = { UNIPILE_DSN: sandbox.url, UNIPILE_API_KEY: SANDBOX_API_KEY };
const database = servedDatabase(env);

const call = (handler: typeof GET) => handler(apiRequest('GET', '/api/cron/reconcile', bearer(CRON_SECRET)));
async function report(handler = GET) {
  const { status, body } = await answered(call(handler));
  expect([status, body.notConfigured]).toEqual([200, []]);
  expect(body.reports).toMatchObject([{ queue: 'dm_queue' }, { queue: 'posts' }]);
  return body.reports[0];
}
const messages = () =>
  database.sql(
    'select body, status, provider_message_id, reconcile, last_error from punctual.dm_queue order by id',
  );

/** Sends a message from a new account, whose name it returns. The text may request a fault of the sandbox. */
async function send(text: string, chat = true): Promise<string> {
  const name = crypto.randomUUID();
  const [account] = await database.sql(
    `insert into punctual.accounts (provider, provider_account_id, name) values ('unipile', $1, $1) returning id`,
    [name],
  );
  await database.sql(
    `insert into punctual.dm_queue (account_id, channel, chat_id, recipient, body) values ($1, 'linkedin', $2, $3, $4)`,
    [account.id, chat ? `${name}__bob` : null, chat ? null : 'bob', text],
  );
  await call(sendByGet);
  return name;
}
/** Makes the unknown attempts end `minutes` ago, and their checks due. */
const letPass = (minutes: number) =>
  database.sql(
    `update punctual.dm_queue set reconcile_at = now() - interval '1 second',
       reconcile = reconcile || jsonb_build_object('over_at', now() - make_interval(mins => $1::integer)) where status = 'unknown'`,
    [minutes],
  );

describe.each(['v1', 'v2'])('over Unipile %s, a call of /api/cron/reconcile', (version) => {
  const useEnv = (more: Record<string, string> = {}) =>
    replaceEnv({ ...env, UNIPILE_API_VERSION: version, ...more }, database.rpc);
  beforeEach(() => useEnv());

  it.each([
    ['GET', GET],
    ['POST', POST],
  ])('by %s finds in its chat a message whose response was lost', async (_method, handler) => {
    const account = await send('hello [[drop-after]]');
    expect(await messages()).toMatchObject([{ status: 'unknown' }]);
    await letPass(0);
    expect(await report(handler)).toMatchObject({ ended: 'drained', checked: 1, resolved: 1 });
    const [delivery, ...more] = sandbox.deliveries().filter((delivery) => delivery.account === account);
    const found = { status: 'sent', provider_message_id: delivery?.id, last_error: null };
    expect([await messages(), more]).toMatchObject([[found], []]);
  });

  it('finds a message in a chat that the attempt itself opened', async () => {
    await send('first words [[drop-after]]', false);
    await letPass(0);
    expect(await report()).toMatchObject({ checked: 1, resolved: 1 });
    expect(await messages()).toMatchObject([{ status: 'sent' }]);
  });

  it.each([
    ['10 minutes by default', {}, 10],
    ['UNIPILE_MAX_LATE_SECONDS', { UNIPILE_MAX_LATE_SECONDS: '3600' }, 60],
  ])(
    'returns a missing message to pending once it can no longer appear: after %s',
    async (_label, more, minutes) => {
      await useEnv(more);
      await send('hello [[drop-before]]');
      await letPass(minutes - 1);
      expect(await report()).toMatchObject({ checked: 1, resolved: 0 });
      const found = { found: 'the message is not in the chat' };
      expect(await messages()).toMatchObject([{ status: 'unknown', reconcile: found }]);
      await letPass(minutes + 1);
      expect(await report()).toMatchObject({ checked: 1, resolved: 1 });
      expect(await messages()).toMatchObject([{ status: 'pending' }]);
    },
  );

  it('sends no due message', async () => {
    await send('hello [[drop-after]]');
    await database.sql('update punctual.queues set paused_at = now()');
    await send('due');
    await database.sql('update punctual.queues set paused_at = null');
    await letPass(0);
    const before = sandbox.deliveries().length;
    expect(await report()).toMatchObject({ checked: 1 });
    expect(sandbox.deliveries()).toHaveLength(before);
    expect(await messages()).toMatchObject([{ status: 'sent' }, { status: 'pending' }]);
  });

  it('makes one database call per queue if no check is due', async () => {
    let calls = 0;
    await replaceRpc((rpc) => (fn, args) => {
      calls++;
      return rpc(fn, args);
    });
    expect(await report()).toMatchObject({ checked: 0, ended: 'drained' });
    expect(calls).toBe(2);
  });

  it('checks again later if the provider answers with an error', async () => {
    await send('hello [[drop-after]]');
    await letPass(0);
    await useEnv({ UNIPILE_API_KEY: 'a key that was revoked' });
    expect(await report()).toMatchObject({ checked: 1, resolved: 0 });
    const [row] = await messages();
    expect(row).toMatchObject({ status: 'unknown', reconcile: { waits_for_operator: false } });
    expect(row.reconcile.found).toMatch(/^the check failed: /);
    expect(row.reconcile.found).not.toContain('a key that was revoked');
    await useEnv();
    await letPass(0);
    expect(await report()).toMatchObject({ checked: 1, resolved: 1 });
  });
});

describe('a call of /api/cron/reconcile', () => {
  it('answers 200 and names the variables to set if no provider is configured', async () => {
    await replaceEnv({}, database.rpc);
    const named = expect.stringContaining('UNIPILE_DSN');
    const body = { reports: [], notConfigured: [named, named] };
    expect(await answered(call(GET))).toEqual({ status: 200, body });
  });

  it('answers 503 if the connect of a queue throws, and checks the other queues', async () => {
    const checkedQueues: unknown[] = [];
    await replaceRpc((rpc) => (fn, args) => {
      if (fn === 'take_unknown') checkedQueues.push(args.p_queue);
      return rpc(fn, args);
    });
    const broken = defineQueue({
      ...dmQueue,
      connect() {
        throw new TypeError('undefined is not a function');
      },
    });
    const { status, body } = await answered(
      call(cronRoute({ handler: reconcileHandler([broken, posts]), query: noQuery }, { maxDuration: 60 })),
    );
    const message = expect.stringContaining('dm_queue: connect threw an error');
    expect([status, body.error]).toMatchObject([503, { kind: 'not_configured', message }]);
    expect(checkedQueues).toEqual(['posts']);
  });

  it('answers 503 if the database cannot be reached', async () => {
    await replaceRpc(() => () => Promise.reject(new StoreError('unavailable', 'connection lost')));
    const error = { kind: 'database_unavailable' };
    expect(await answered(call(GET))).toMatchObject({ status: 503, body: { error } });
  });
});
