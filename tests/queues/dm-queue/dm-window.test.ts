import { beforeEach, expect, it } from 'vitest';
import { tick } from '../../../lib/engine/tick.ts';
import { enqueueDms } from '../../../lib/queues/dm-queue/new-dms.ts';
import { type DmEnv, dmQueue } from '../../../lib/queues/dm-queue/queue.ts';
import { type Sandbox, startSandbox } from '../../../lib/sandbox/sandbox.ts';
import { SANDBOX_ACCESS_TOKEN } from '../../../lib/sandbox/shapes/whatsapp-shape.ts';
import { testDatabase } from '../../support/fixtures.ts';
import { realTimePorts } from '../../support/real-time-ports.ts';

const phone = '105550001001';
const hourMs = 3_600_000;
const database = testDatabase();
let sandbox: Sandbox;
let account: string;
/** How often WhatsApp was called. */
let calls: number;

beforeEach(async () => {
  [{ id: account }] = await database.sql(
    `insert into punctual.accounts (provider, provider_account_id, name) values ('whatsapp_cloud', $1, 'Help') returning id`,
    [phone],
  );
  calls = 0;
  sandbox = await startSandbox({
    enforceWindow: true,
    onTurn: () => {
      calls += 1;
    },
  });
  return () => sandbox.close();
});

/** Records that a person wrote `hoursAgo` hours ago, at WhatsApp and, as by its webhook, here. */
async function write(recipient: string, hoursAgo: number) {
  if (hoursAgo < 24) sandbox.write({ provider: 'whatsapp-cloud', account: phone, recipient }, 'hello?');
  const receipt = {
    kind: 'message',
    status: 'received',
    message_id: `wamid.${recipient}.${hoursAgo}`,
    provider_account_id: phone,
    recipient: recipient.replace('+', ''),
    body: 'hello?',
    said_at: new Date(Date.now() - hoursAgo * hourMs).toISOString(),
  };
  await database.rpc('receive_receipts', { p_provider: 'whatsapp_cloud', p_receipts: [receipt] });
}

async function send(messages: { recipient: string; template?: object }[], knowsReplies = true) {
  const message = (one: object) => ({ account_id: account, channel: 'whatsapp', body: 'hi', ...one });
  expect(await enqueueDms(database.rpc, messages.map(message))).toHaveProperty('rows');
  const whatsappCloud: DmEnv['whatsappCloud'] = {
    accessToken: SANDBOX_ACCESS_TOKEN,
    apiVersion: 'v23.0',
    baseUrl: sandbox.url,
    knowsReplies,
  };
  await tick(dmQueue, realTimePorts(database.rpc), {
    deps: dmQueue.connect({ whatsappCloud }),
    limitMs: 60_000,
    scheduler: 'test',
  });
  const rows = await database.sql('select recipient, status, last_error from punctual.dm_queue order by id');
  const delivered = new Map(sandbox.deliveries().map(({ recipient, text }) => [recipient, text]));
  return rows.map(({ recipient, status, last_error }) => [
    status,
    delivered.get(recipient) ?? null,
    last_error,
  ]);
}

it('sends the text inside WhatsApp’s 24-hour window and the template outside it, where a message without one makes no call', async () => {
  const template = { name: 'day_1', language: 'en', parameters: ['Ada'] };
  await write('+491511', 1);
  await write('+491512', 25);
  await write('+491513', 25);
  const outside = (last: RegExp) => expect.stringMatching(new RegExp(`24-hour window .*${last.source}`));
  expect(
    await send([
      { recipient: '+491511', template },
      { recipient: '+491512', template },
      { recipient: '+491513' },
      { recipient: '+491514' },
      { recipient: '+491515', template },
    ]),
  ).toEqual([
    ['sent', 'hi', null],
    ['sent', 'day_1 (en): Ada', null],
    ['failed', null, outside(/last wrote \d{4}-.*: only an approved template may be sent$/)],
    ['failed', null, outside(/last wrote never/)],
    ['sent', 'day_1 (en): Ada', null],
  ]);
  expect(calls).toBe(3);
});

it('sends the text if no webhook is set up, and rows that WhatsApp refuses fail', async () => {
  sandbox.write({ provider: 'whatsapp-cloud', account: phone, recipient: '+491511' }, 'hello?');
  expect(await send([{ recipient: '+491511' }, { recipient: '+491512' }], false)).toEqual([
    ['sent', 'hi', null],
    ['failed', null, expect.stringContaining('131047')],
  ]);
  expect(calls).toBe(2);
});

it('tries the text if our webhooks were down, and a refusal by WhatsApp stops no other row', async () => {
  const template = { name: 'day_1', language: 'en', parameters: ['Ada'] };
  await send([{ recipient: '+491510', template }]);
  await database.sql(`update punctual.dm_queue set finished_at = now() - interval '2 minutes'`);
  // WhatsApp received a message from the last of them, and we did not.
  const recipients = [1, 2, 3, 4, 5, 6].map((n) => `+49151${n}`);
  sandbox.write({ provider: 'whatsapp-cloud', account: phone, recipient: '+491516' }, 'hello?');
  const refused = ['failed', null, expect.stringContaining('131047')];
  expect((await send(recipients.map((recipient) => ({ recipient })))).slice(1)).toEqual([
    ...Array.from({ length: 5 }, () => refused),
    ['sent', 'hi', null],
  ]);
  expect(calls).toBe(7);
});
