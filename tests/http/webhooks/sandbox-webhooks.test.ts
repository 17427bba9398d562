import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tick } from '../../../lib/engine/tick.ts';
import { dmQueue } from '../../../lib/queues/dm-queue/queue.ts';
import { enrolments } from '../../../lib/queues/sequences/queue.ts';
import { type Sandbox, startSandbox } from '../../../lib/sandbox/sandbox.ts';
import { SANDBOX_API_KEY } from '../../../lib/sandbox/shapes/unipile-shape.ts';
import { SANDBOX_ACCESS_TOKEN } from '../../../lib/sandbox/shapes/whatsapp-shape.ts';
import { stepOf } from '../../support/conversations.ts';
import { realTimePorts } from '../../support/real-time-ports.ts';
import { APP_SECRET, serveWebhooks, UNIPILE_SECRET, webhookBench } from './webhook-bench.ts';

const { database, stored, addAccount, writeTo } = webhookBench();
let app: Awaited<ReturnType<typeof serveWebhooks>>;
let sandbox: Sandbox;

beforeEach(async () => {
  app = await serveWebhooks();
});
afterEach(async () => {
  await sandbox.close();
  await app.close();
});

/** Starts a sandbox that sends its webhooks to our routes over HTTP. */
async function start(version: 'v1' | 'v2' = 'v1', enforceWindow = false): Promise<void> {
  sandbox = await startSandbox({
    enforceWindow,
    webhooks: {
      whatsapp: { url: `${app.url}/api/webhooks/whatsapp`, appSecret: APP_SECRET },
      unipile: { url: `${app.url}/api/webhooks/unipile`, secret: UNIPILE_SECRET, version },
      delayMs: [1, 10],
    },
  });
}

const options = { limitMs: 60_000, scheduler: 'test' };
const tickMessages = (providers: Parameters<typeof dmQueue.connect>[0]) =>
  tick(dmQueue, realTimePorts(database.rpc), { ...options, deps: dmQueue.connect(providers) });

describe('the sandbox’s webhooks', () => {
  it.each(['v1', 'v2'] as const)(
    'over Unipile %s pause and resume an account, and report messages and replies',
    async (version) => {
      await start(version);
      const account = await addAccount();
      const disconnect = (disconnected: string[]) =>
        fetch(`${sandbox.url}/faults`, { method: 'POST', body: JSON.stringify({ disconnected }) });
      const paused = async () =>
        (await database.sql('select paused_until > now() as paused from punctual.accounts'))[0].paused;
      await disconnect(['acc1']);
      await expect.poll(paused).toBe(true);
      await disconnect([]);
      await expect.poll(paused).toBeNull();
      await writeTo(account, 'acc1__ada');
      await tickMessages({ unipile: { version, dsn: sandbox.url, apiKey: SANDBOX_API_KEY } });
      const ada = { kind: 'message', provider_account_id: 'acc1', chat_id: 'acc1__ada', recipient: 'ada' };
      const report = { status: 'sent', message_id: sandbox.deliveries()[0]?.id, body: 'hi' };
      // v2 does not name the person whom we wrote to.
      const sent = { ...ada, ...report, recipient: version === 'v1' ? 'ada' : null };
      await expect.poll(stored).toMatchObject([sent]);
      sandbox.write({ provider: 'unipile', account: 'acc1', recipient: 'ada' }, 'hello 👋');
      const received = { ...ada, status: 'received', body: 'hello 👋' };
      await expect.poll(stored).toMatchObject([sent, received]);
    },
  );

  it('over WhatsApp report messages with their references, and stop the sequence of a person who hides the number', async () => {
    await start('v1', true);
    const account_id = await addAccount('whatsapp_cloud', 'ph-1');
    const template = { name: 'welcome', language: 'en', parameters: [] };
    const steps = [stepOf({ body: 'one', template }), stepOf({ body: 'two', template })];
    const p_sequence = { name: 'hidden', channel: 'whatsapp', time_zone: null, steps };
    const { id } = (await database.rpc('create_sequence', { p_sequence })) as { id: string };
    const p_people = [{ account_id, recipient: '+49 151 1' }];
    await database.rpc('enrol_people', { p_sequence_id: id, p_people });
    const connection = { accessToken: SANDBOX_ACCESS_TOKEN, apiVersion: 'v23.0', baseUrl: sandbox.url };
    const tickBothQueues = async () => {
      await tick(enrolments, realTimePorts(database.rpc), { ...options, deps: null });
      await tickMessages({ whatsappCloud: { ...connection, knowsReplies: true } });
    };
    await tickBothQueues();
    const [{ id: row }] = await database.sql('select id from punctual.dm_queue');
    const report = {
      provider_account_id: 'ph-1',
      message_id: sandbox.deliveries()[0]?.id,
      reference: expect.stringMatching(new RegExp(`^dm_queue/${row}/`)),
    };
    // Each webhook has its own delay, so they arrive in any order.
    const reports = async () => (await stored()).sort((a, b) => a.status.localeCompare(b.status));
    await expect.poll(reports).toMatchObject([
      { ...report, status: 'delivered' },
      { ...report, status: 'sent' },
    ]);
    sandbox.write({ provider: 'whatsapp-cloud', account: 'ph-1', recipient: 'US.9115194' }, 'stop');
    await expect
      .poll(() => database.sql('select phase, last_reply from punctual.enrolments'))
      .toEqual([{ phase: 'replied', last_reply: 'stop' }]);
    await tickBothQueues();
    expect(sandbox.deliveries()).toHaveLength(1);
  });
});
