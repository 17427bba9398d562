import { beforeEach, describe, expect, it } from 'vitest';
import { tick } from '../../../lib/engine/tick.ts';
import { dmQueue } from '../../../lib/queues/dm-queue/queue.ts';
import { realTimePorts } from '../../support/real-time-ports.ts';
import { serveHandler } from '../../support/serve-handler.ts';
import { postUnipile, signedByUnipile, webhookBench } from './webhook-bench.ts';

const { database, addAccount, writeTo } = webhookBench();
let account: string;
beforeEach(async () => {
  account = await addAccount();
});

const post = (webhook: object) => {
  const body = JSON.stringify(webhook);
  return postUnipile(body, signedByUnipile(body));
};
const v1 = (message: string) => ({
  AccountStatus: { account_id: 'acc1', account_type: 'LINKEDIN', message },
});
const v2 = (status: string, timestamp: string) => ({
  id: 'evt_1',
  created_at: '2026-11-22T10:00:00.000Z',
  account_id: 'acc1',
  type: `account.status.${status}`,
  payload: { timestamp },
});

const paused = async () =>
  (await database.sql('select paused_until > now() as paused, paused_reason from punctual.accounts'))[0];
const pausedFor = (code: string) => ({ paused: true, paused_reason: expect.stringContaining(`(${code})`) });

describe('a Unipile webhook about an account', () => {
  it('of v1 pauses it with the reason, and resumes it', async () => {
    const response = await postUnipile(JSON.stringify(v1('CREDENTIALS')));
    expect(response).toEqual({ status: 200, received: 1, new: 1, ignored: 0 });
    expect(await paused()).toMatchObject(pausedFor('CREDENTIALS'));
    expect(await post(v1('CREDENTIALS'))).toMatchObject({ status: 200, new: 0 });
    expect(await post(v1('OK'))).toMatchObject({ new: 1 });
    expect(await paused()).toEqual({ paused: null, paused_reason: null });
  });

  it('of v2 pauses it, and changes nothing if its status is unknown', async () => {
    expect(await post(v2('teleported', ''))).toMatchObject({ status: 200, new: 0 });
    expect(await paused()).toMatchObject({ paused: null });
    expect(await post(v2('disconnected', '2026-11-22T10:00:02.000Z'))).toMatchObject({ new: 1 });
    expect(await paused()).toMatchObject(pausedFor('disconnected'));
  });

  it('that a call found disconnected resumes it, in the version of the call', async () => {
    const answers: [number, object][] = [
      [401, { type: 'errors/disconnected_account' }],
      [201, { object: 'MessageSent', message_id: null }],
    ];
    const provider = await serveHandler(async () => {
      const [status, body] = answers.shift() ?? [500, {}];
      return Response.json(body, { status });
    });
    try {
      await writeTo(account, 'c1');
      const deps = dmQueue.connect({ unipile: { dsn: provider.url, apiKey: 'k' } });
      const options = { limitMs: 60_000, scheduler: 'test', deps };
      const run = () => tick(dmQueue, realTimePorts(database.rpc), options);
      await run();
      await run();
      const statuses = await database.sql('select status from punctual.dm_queue');
      expect([statuses, await paused(), answers.length]).toMatchObject([
        [{ status: 'pending' }],
        { paused: true },
        1,
      ]);
      await post(v1('RECONNECTED'));
      await run();
      expect(await database.sql('select status from punctual.dm_queue')).toEqual([{ status: 'sent' }]);
    } finally {
      await provider.close();
    }
  });
});
