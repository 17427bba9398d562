import { beforeEach, expect, it } from 'vitest';
import { tick } from '../../../lib/engine/tick.ts';
import { dmQueue } from '../../../lib/queues/dm-queue/queue.ts';
import { enrolments } from '../../../lib/queues/sequences/queue.ts';
import { type Sandbox, startSandbox } from '../../../lib/sandbox/sandbox.ts';
import { SANDBOX_API_KEY } from '../../../lib/sandbox/shapes/unipile-shape.ts';
import { SANDBOX_ACCESS_TOKEN } from '../../../lib/sandbox/shapes/whatsapp-shape.ts';
import { queueStore } from '../../../lib/store/queue-store.ts';
import { VirtualClock } from '../../../lib/testing/virtual-clock.ts';
import { conversations } from '../../support/conversations.ts';
import { perTest, perTestExchanges, testDatabase } from '../../support/fixtures.ts';
import { realTimePorts } from '../../support/real-time-ports.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
const talk = perTest(() => conversations(database, sql));
let sandbox: Sandbox;

beforeEach(async () => {
  sandbox = await startSandbox();
  return () => sandbox.close();
});

const options = { limitMs: 60_000, scheduler: 'test' };
const ports = () => ({
  ...realTimePorts(database.rpc),
  store: queueStore(database.rpc, () => new Date(sql.now)),
});
const advance = () => {
  const clock = new VirtualClock(sql.now);
  return clock.run(tick(enrolments, { ...ports(), clock }, { ...options, deps: null }));
};
const send = () => {
  const deps = dmQueue.connect({
    unipile: { dsn: sandbox.url, apiKey: SANDBOX_API_KEY },
    whatsappCloud: { accessToken: SANDBOX_ACCESS_TOKEN, apiVersion: 'v23.0', baseUrl: sandbox.url },
  });
  return tick(dmQueue, ports(), { ...options, deps });
};
const deliveries = () => sandbox.deliveries().map(({ recipient, text }) => [recipient, text]);

it('advances 1,300 people in one tick, with the settings of a new installation', async () => {
  const account_id = await sql.addAccount();
  const sequence = await talk.addSequence([{ body: 'Hi {{n}}' }]);
  const people = Array.from({ length: 1_300 }, (_, n) => ({
    account_id,
    recipient: `p${n}`,
    variables: { n: String(n) },
  }));
  await talk.enrol(sequence, people.slice(0, 1_000));
  await talk.enrol(sequence, people.slice(1_000));
  expect(await advance()).toMatchObject({ ended: 'drained', counts: { claimed: 1_300, again: 1_300 } });
  expect(await advance()).toMatchObject({ outcome: 'idle' });
  const bodies = await database.sql('select distinct body from punctual.dm_queue');
  expect(bodies).toHaveLength(1_300);
});

it('sends the steps of a sequence one by one, in the chat that the first step opened', async () => {
  const account_id = await sql.addAccount({ provider_account_id: 'us' });
  const sequence = await talk.addSequence([{ body: 'one' }, { body: 'two', delay_seconds: 60 }]);
  const [id = ''] = await talk.enrol(sequence, [{ account_id, recipient: 'ann' }]);
  for (let n = 0; n < 2; n++) {
    await advance();
    await send();
    sql.pass(60);
  }
  expect(deliveries()).toEqual([
    ['ann', 'one'],
    ['ann', 'two'],
  ]);
  expect(await talk.read(id)).toMatchObject({ phase: 'completed', chat_id: expect.any(String) });
});

it('sends templates over WhatsApp until the person writes, and fails without a template before any call', async () => {
  const account_id = await sql.addAccount({ provider: 'whatsapp_cloud', provider_account_id: 'phone' });
  const template = { name: 'welcome', language: 'en', parameters: ['{{name}}'] };
  const question = { kind: 'question' as const, body: 'free {{name}}', template };
  const whatsapp = { channel: 'whatsapp' };
  const sequence = await talk.addSequence([question, { ...question, template: null }], whatsapp);
  const bare = await talk.addSequence([{ body: 'free' }], whatsapp);
  const person = { account_id, recipient: '+49 170 1', variables: { name: 'Ann' } };
  const [id = ''] = await talk.enrol(sequence, [person]);
  const [refused = ''] = await talk.enrol(bare, [{ ...person, recipient: '+49 170 2' }]);
  await advance();
  await send();
  await send();
  expect(await talk.read(id)).toMatchObject({ phase: 'waiting_reply' });
  expect(await talk.read(refused)).toMatchObject({
    phase: 'failed',
    last_error: expect.stringContaining("outside WhatsApp's 24-hour window"),
  });
  await talk.reply({ provider_account_id: 'phone', recipient: '491701', body: 'hi' }, 'whatsapp_cloud');
  await advance();
  await send();
  expect(deliveries()).toEqual([
    ['+49 170 1', expect.stringContaining('welcome')],
    ['+49 170 1', 'free Ann'],
  ]);
});
