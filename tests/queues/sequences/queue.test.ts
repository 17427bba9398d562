import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { systemClock } from '../../../lib/engine/ports/clock.ts';
import { silentLog } from '../../../lib/engine/ports/log.ts';
import { tick } from '../../../lib/engine/tick.ts';
import { dmQueue } from '../../../lib/queues/dm-queue/queue.ts';
import { enrolments } from '../../../lib/queues/sequences/queue.ts';
import { queueStore } from '../../../lib/store/queue-store.ts';
import { type Sandbox, startSandbox } from '../../../sandbox/sandbox.ts';
import { SANDBOX_API_KEY } from '../../../sandbox/shapes/unipile-shape.ts';
import { SANDBOX_ACCESS_TOKEN } from '../../../sandbox/shapes/whatsapp-shape.ts';
import { conversations } from '../../support/conversations.ts';
import { exchanges } from '../../support/exchanges.ts';
import { openTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

let database: TestDatabase;
let sandbox: Sandbox;
let sql: ReturnType<typeof exchanges>;
let talk: ReturnType<typeof conversations>;

beforeAll(async () => {
  [database, sandbox] = await Promise.all([openTestDatabase(), startSandbox()]);
});
afterAll(async () => {
  await Promise.all([database.close(), sandbox.close()]);
});
beforeEach(async () => {
  await database.reset();
  sql = exchanges(database);
  talk = conversations(database, sql);
});

const ports = () => {
  const clock = new VirtualClock(sql.now);
  return {
    store: queueStore(database.rpc, () => new Date(sql.now)),
    clock,
    log: silentLog,
    random: () => 0.5,
    newId: () => crypto.randomUUID(),
    lock: null,
  };
};
const options = { limitMs: 60_000, scheduler: 'test' };
const advance = () => {
  const { clock, ...rest } = ports();
  return clock.run(tick(enrolments, { clock, ...rest }, { ...options, deps: null }));
};
const send = async () => {
  const deps = dmQueue.connect({
    unipile: { dsn: sandbox.url, apiKey: SANDBOX_API_KEY },
    whatsappCloud: { accessToken: SANDBOX_ACCESS_TOKEN, apiVersion: 'v23.0', baseUrl: sandbox.url },
  });
  return tick(dmQueue, { ...ports(), clock: systemClock }, { ...options, deps });
};
const deliveriesSince = (from: number) =>
  sandbox
    .deliveries()
    .slice(from)
    .map(({ recipient, text }) => [recipient, text]);

it('advances 1,300 people in one tick, with the settings of a new installation', async () => {
  const account = await sql.addAccount();
  const sequence = await talk.addSequence([{ body: 'Hi {{n}}' }]);
  const people = Array.from({ length: 1_000 }, (_, n) => ({
    account_id: account,
    recipient: `p${n}`,
    variables: { n: String(n) },
  }));
  await talk.enrol(sequence, people);
  await talk.enrol(
    sequence,
    people.slice(0, 300).map((person) => ({ ...person, recipient: `q${person.recipient}` })),
  );
  expect(await advance()).toMatchObject({ ended: 'drained', counts: { claimed: 1_300, again: 1_300 } });
  expect(await advance()).toMatchObject({ outcome: 'idle' });
  const [{ count, bodies }] = await database.sql(
    'select count(*) as count, count(distinct body) as bodies from punctual.dm_queue',
  );
  expect([count, bodies]).toEqual([1_300, 1_000]);
});

it('sends the steps of a sequence one by one, in the chat that the first step opened', async () => {
  const from = sandbox.deliveries().length;
  const account = await sql.addAccount({ provider_account_id: 'us' });
  const sequence = await talk.addSequence([{ body: 'one' }, { body: 'two', delay_seconds: 60 }]);
  const [id = ''] = await talk.enrol(sequence, [{ account_id: account, recipient: 'ann' }]);
  for (let n = 0; n < 2; n++) {
    await advance();
    await send();
    sql.pass(60);
  }
  expect(deliveriesSince(from)).toEqual([
    ['ann', 'one'],
    ['ann', 'two'],
  ]);
  expect(await talk.read(id)).toMatchObject({ phase: 'completed', chat_id: expect.any(String) });
});

it('sends templates over WhatsApp until the person writes, and fails without a template before any call', async () => {
  const from = sandbox.deliveries().length;
  const account = await sql.addAccount({ provider: 'whatsapp_cloud', provider_account_id: 'phone' });
  const template = { name: 'welcome', language: 'en', parameters: ['{{name}}'] };
  const question = { kind: 'question' as const, body: 'free {{name}}', template };
  const sequence = await talk.addSequence([question, { ...question, template: null }], {
    channel: 'whatsapp',
  });
  const bare = await talk.addSequence([{ body: 'free' }], { channel: 'whatsapp' });
  const person = { account_id: account, recipient: '+49 170 1', variables: { name: 'Ann' } };
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
  const texts = deliveriesSince(from);
  expect(texts).toHaveLength(2);
  expect(texts[0]?.[1]).toContain('welcome');
  expect(texts[1]).toEqual(['+49 170 1', 'free Ann']);
});
