import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, expect, it } from 'vitest';
import { done, type Outcome, retry } from '../../lib/engine/outcome.ts';
import type { Queue } from '../../lib/engine/queue.ts';
import { dmQueue } from '../../lib/queues/dm-queue/queue.ts';
import { enrolments } from '../../lib/queues/sequences/queue.ts';
import { conversations } from '../support/conversations.ts';
import { exchanges } from '../support/exchanges.ts';
import { testStack } from './test-stack.ts';
import { stackTick } from './tick-process.ts';

const stack = testStack();
let sql: ReturnType<typeof exchanges>;
let people: ReturnType<typeof conversations>;
beforeEach(async () => {
  sql = exchanges(stack);
  sql.setNow(new Date().toISOString());
  people = conversations(stack, sql);
  // Every tick is admitted, so only the claims keep ticks apart.
  await stack.sql('update punctual.queues set max_ticks = 100, batch_limit = null, backoff_base_seconds = 1');
});

interface Message {
  id: string;
  enrolment_id: number;
  step: number;
}

/** dm_queue with a provider of the test's own. */
const messenger = (
  perform: (message: Message) => Promise<Outcome> | Outcome,
): Queue<Message, null, unknown> => ({
  name: 'dm_queue',
  row: { safeParse: (data: unknown) => ({ success: true, data }) } as never,
  delivery: 'at-most-once',
  timeoutMs: dmQueue.timeoutMs,
  connect: () => null,
  providers: () => ['unipile'],
  perform,
});
const tickMessages = (queue: Queue<Message, null, unknown>) => stackTick(queue, null, stack.settings);
const tickEnrolments = () => stackTick(enrolments, null, stack.settings);

it('everybody gets each step once and in order, with four ticks of each queue at once and replies, pauses and stops in between', async () => {
  const count = 240;
  const sequence = await people.addSequence([
    { body: 'one {{n}}' },
    { kind: 'question', body: 'two {{n}}', no_reply: { after_seconds: 1, action: 'continue' } },
    { body: 'three {{n}}', on_reply: 'continue' },
    { body: 'four {{n}}' },
  ]);
  const accounts: { id: string }[] = await stack.sql(
    `insert into punctual.accounts (provider, provider_account_id, name, daily_limit)
     select 'unipile', 'us-' || n, 'A' || n, 100000 from generate_series(1, 40) n returning id`,
  );
  const ids = await people.enrol(
    sequence,
    Array.from({ length: count }, (_, n) => ({
      account_id: accounts[n % accounts.length]?.id,
      recipient: `p${n}`,
      variables: { n: String(n) },
    })),
  );

  /** The provider's record: the steps of each enrolment in the order in which they were sent. */
  const sent = new Map<string, number[]>();
  // Of the calls 10 % fail for certain and 5 % with an unknown outcome.
  const queue = messenger(async ({ enrolment_id, step }) => {
    await sleep(Math.random() * 8);
    const luck = Math.random();
    if (luck < 0.1) return retry('busy', 0);
    const id = String(enrolment_id);
    sent.set(id, [...(sent.get(id) ?? []), step]);
    return luck < 0.15
      ? { kind: 'unknown', error: 'no answer in time' }
      : done({ provider_message_id: crypto.randomUUID() });
  });
  /** When each enrolment was known to be stopped: after the response to the call, by the database's clock. */
  const overSince = new Map<string, number>();
  const anyPerson = () => Math.floor(Math.random() * count);
  const intervene = async () => {
    const n = anyPerson();
    const p_id = ids[n] ?? '';
    const luck = Math.random();
    if (luck < 0.15) {
      await stack.rpc('stop_enrolment', { p_id });
      const [{ ms }] = await stack.sql('select extract(epoch from clock_timestamp()) * 1000 as ms');
      overSince.set(p_id, Number(ms));
    } else if (luck < 0.4) {
      await stack.rpc('pause_enrolment', { p_id });
      await sleep(Math.random() * 60);
      await stack.rpc('resume_enrolment', { p_id });
    } else {
      const both = [n, anyPerson()].map((one) => ({
        kind: 'message',
        status: 'received',
        message_id: crypto.randomUUID(),
        provider_account_id: `us-${1 + (one % accounts.length)}`,
        recipient: `p${one}`,
        body: 'hm',
        said_at: new Date().toISOString(),
      }));
      await stack.rpc('receive_receipts', { p_provider: 'unipile', p_receipts: both });
    }
  };
  const settleUnknowns = async () => {
    for (const { id } of await stack.sql(`select id from punctual.dm_queue where status = 'unknown'`))
      await stack.rpc('resolve_row', { p_queue: 'dm_queue', p_id: String(id), p_decision: 'done' });
  };

  let isWorking = true;
  const failures: unknown[] = [];
  const repeat = (times: number, pauseMs: number, act: () => Promise<unknown>) =>
    Array.from({ length: times }, async () => {
      for (; isWorking; await sleep(Math.random() * pauseMs)) {
        await act().catch((error) => {
          // PT409: the enrolment is already over.
          if (act !== intervene || error.code !== 'PT409') failures.push(error);
        });
      }
    });
  const working = [
    ...repeat(4, 10, tickEnrolments),
    ...repeat(4, 10, () => tickMessages(queue)),
    ...repeat(3, 60, intervene),
    ...repeat(1, 200, settleUnknowns),
  ];
  const open = () =>
    stack.sql(`select id from punctual.enrolments where status in ('pending', 'running') limit 1`);
  for (const until = Date.now() + 90_000; (await open()).length > 0 && Date.now() < until; ) await sleep(200);
  isWorking = false;
  await Promise.all(working);

  expect(failures).toEqual([]);
  expect(await open()).toEqual([]);
  expect(
    await stack.sql(`select id, status from punctual.dm_queue where status not in ('sent', 'cancelled')`),
  ).toEqual([]);
  expect(
    await stack.sql('select deadlocks::integer from pg_stat_database where datname = current_database()'),
  ).toEqual([{ deadlocks: 0 }]);

  const final = await stack.sql('select id::text, phase, sent_steps from punctual.enrolments order by id');
  for (const { id, phase, sent_steps } of final) {
    const steps = Array.from({ length: phase === 'completed' ? 4 : sent_steps }, (_, n) => n + 1);
    expect(sent.get(id) ?? [], `steps of ${id}, ${phase}`).toEqual(steps);
  }
  expect(new Set(final.map(({ phase }) => phase))).toEqual(new Set(['completed', 'replied', 'stopped']));

  // No message was claimed after its enrolment was known to be stopped, nor after a reply that stops it.
  const claims = await stack.sql(
    'select enrolment_id::text as id, extract(epoch from claimed_at) * 1000 as ms from punctual.dm_queue where claimed_at is not null',
  );
  const late = claims.filter(({ id, ms }) => Number(ms) > (overSince.get(id) ?? Number.POSITIVE_INFINITY));
  expect(late).toEqual([]);
  expect(overSince.size).toBeGreaterThan(5);
  expect(
    await stack.sql(
      `select d.id from punctual.dm_queue d join punctual.enrolments e on e.id = d.enrolment_id and e.phase = 'replied'
        where d.claimed_at > e.finished_at + interval '1 second'`,
    ),
  ).toEqual([]);
}, 150_000);

it.each([
  ['commits with other rows', 'commit', { cancelled: 3, sending: 2 }],
  ['is rolled back', 'rollback', { cancelled: 5 }],
])(
  'a message locked by a claim that %s is not claimed after its enrolment was stopped',
  async (_how, end, states) => {
    const accounts = await stack.sql(
      `insert into punctual.accounts (provider, provider_account_id, name) select 'unipile', 'us-' || n, 'A' from generate_series(1, 5) n returning id`,
    );
    const ids = await people.enrol(
      await people.addSequence([{}]),
      accounts.map(({ id }) => ({ account_id: id, recipient: `p-${id}` })),
    );
    await tickEnrolments();

    const claiming = await stack.begin();
    const tick = {
      id: crypto.randomUUID(),
      queue: 'dm_queue',
      partition: 'main',
      limit_seconds: 60,
      providers: ['unipile'],
    };
    const claim = await claiming.query('select punctual.exchange($1, p_want => 2) as reply', [tick]);
    expect(claim.rows[0].reply.rows).toHaveLength(2);
    for (const id of ids) await stack.rpc('stop_enrolment', { p_id: id });
    await claiming.query(end);

    const sent: Message[] = [];
    const queue = messenger((message) => {
      sent.push(message);
      return done();
    });
    for (let n = 0; n < 2; n++) await tickMessages(queue);
    expect(sent).toEqual([]);
    const counts = await stack.sql('select status, count(*)::integer as n from punctual.dm_queue group by 1');
    expect(Object.fromEntries(counts.map(({ status, n }) => [status, n]))).toEqual(states);
    expect(await stack.sql('select * from punctual.held_rows')).toEqual([]);
  },
);

it.each(['the reply', 'the pair'])(
  'a WhatsApp reply without the number stops the sequence even if the call with %s is uncommitted when the other arrives',
  async (first) => {
    const userId = `DE.${crypto.randomUUID().replaceAll('-', '')}`;
    const account_id = await sql.addAccount({ provider: 'whatsapp_cloud', provider_account_id: 'phone' });
    const sequence = await people.addSequence([{}], { channel: 'whatsapp' });
    await people.enrol(sequence, [{ account_id, recipient: '+49 170 1' }]);

    const common = { provider_account_id: 'phone', user_id: userId };
    const pair = { kind: 'status', status: 'sent', message_id: 'pair', recipient: '491701', ...common };
    const reply = { kind: 'message', status: 'received', message_id: 'reply', recipient: userId, ...common };
    const receipts = first === 'the reply' ? [reply, pair] : [pair, reply];
    const uncommitted = await stack.begin();
    await uncommitted.query(`select punctual.receive_receipts('whatsapp_cloud', $1)`, [
      JSON.stringify([receipts[0]]),
    ]);
    const other = stack.rpc('receive_receipts', { p_provider: 'whatsapp_cloud', p_receipts: [receipts[1]] });
    await sleep(300);
    await uncommitted.query('commit');
    await other;
    expect(await stack.sql('select phase from punctual.enrolments')).toEqual([{ phase: 'replied' }]);
  },
);
