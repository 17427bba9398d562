import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { done, type Outcome, retry } from '../../lib/engine/outcome.ts';
import type { Queue } from '../../lib/engine/queue.ts';
import { tick } from '../../lib/engine/tick.ts';
import { dmQueue } from '../../lib/queues/dm-queue/queue.ts';
import { enrolments } from '../../lib/queues/sequences/queue.ts';
import { supabaseRpc } from '../../lib/store/supabase-rpc.ts';
import { type Stack, startStack } from '../stack/start-stack.ts';
import { stepOf } from '../support/conversations.ts';
import { realTimePorts } from '../support/real-time-ports.ts';

let stack: Stack;
let rpc: ReturnType<typeof supabaseRpc>;

beforeAll(async () => {
  stack = await startStack();
  rpc = supabaseRpc({ url: stack.supabaseUrl, serviceRoleKey: stack.serviceRoleKey });
});
afterAll(() => stack?.stop());
beforeEach(async () => {
  await stack.sql(
    'truncate punctual.accounts, punctual.sequences, punctual.dm_queue, punctual.enrolments restart identity cascade',
  );
  // Every tick is admitted, so only the claims keep ticks apart.
  await stack.sql('update punctual.queues set max_ticks = 100, batch_limit = null, backoff_base_seconds = 1');
});

interface Message {
  id: string;
  enrolment_id: number;
  step: number;
  is_reminder: boolean;
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** dm_queue with a provider that records its messages. Of its calls 10 % fail for certain and 5 % with an unknown outcome. */
function messenger(sent: Message[]): Queue<Message, null, unknown> {
  return {
    name: 'dm_queue',
    row: { safeParse: (data: unknown) => ({ success: true, data }) } as never,
    delivery: 'at-most-once',
    timeoutMs: dmQueue.timeoutMs,
    connect: () => null,
    providers: () => ['unipile'],
    async perform(message): Promise<Outcome> {
      await sleep(Math.random() * 8);
      const luck = Math.random();
      if (luck < 0.1) return retry('busy', 0);
      sent.push(message);
      if (luck < 0.15) return { kind: 'unknown', error: 'no answer in time' };
      return { kind: 'done', result: { provider_message_id: crypto.randomUUID() } };
    },
  };
}

it('everybody gets each step once and in order, with four ticks of each queue at once and replies, pauses and stops in between', async () => {
  const people = 240;
  const steps = [
    stepOf({ body: 'one {{n}}' }),
    stepOf({ kind: 'question', body: 'two {{n}}', no_reply: { after_seconds: 1, action: 'continue' } }),
    stepOf({ body: 'three {{n}}', on_reply: 'continue' }),
    stepOf({ body: 'four {{n}}' }),
  ];
  const sequence = (await rpc('create_sequence', {
    p_sequence: { name: 'race', channel: 'linkedin', time_zone: null, steps },
  })) as { id: string };
  const accounts = await stack.sql(
    `insert into punctual.accounts (provider, provider_account_id, name, daily_limit)
     select 'unipile', 'us-' || n, 'A' || n, 100000 from generate_series(1, 40) n returning id, provider_account_id`,
  );
  const { rows } = (await rpc('enrol_people', {
    p_sequence_id: sequence.id,
    p_people: Array.from({ length: people }, (_, n) => ({
      account_id: accounts[n % accounts.length]?.id,
      recipient: `p${n}`,
      variables: { n: String(n) },
    })),
  })) as { rows: { id: string }[] };
  const ids = rows.map(({ id }) => id);

  const sent: Message[] = [];
  const queue = messenger(sent);
  // When each enrolment was known to be stopped: after the response to the call, by the database's clock.
  const overSince = new Map<string, number>();
  const databaseNow = async () =>
    Number((await stack.sql('select extract(epoch from clock_timestamp()) * 1000 as ms'))[0]?.ms);
  let working = true;
  const failures: unknown[] = [];
  const repeat = async (act: () => Promise<unknown>, pauseMs: number) => {
    while (working) {
      await act().catch((error) => failures.push(error));
      await sleep(Math.random() * pauseMs);
    }
  };
  const anyPerson = () => Math.floor(Math.random() * people);
  const intervene = async () => {
    const n = anyPerson();
    const id = ids[n] ?? '';
    const luck = Math.random();
    try {
      if (luck < 0.15) {
        await rpc('stop_enrolment', { p_id: id });
        overSince.set(id, await databaseNow());
      } else if (luck < 0.4) {
        await rpc('pause_enrolment', { p_id: id });
        await sleep(Math.random() * 60);
        await rpc('resume_enrolment', { p_id: id });
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
        await rpc('receive_receipts', { p_provider: 'unipile', p_receipts: both });
      }
    } catch (error) {
      // PT409: the enrolment is already over.
      if ((error as { code?: string }).code !== 'PT409') throw error;
    }
  };
  const settleUnknowns = async () => {
    for (const { id } of await stack.sql(`select id from punctual.dm_queue where status = 'unknown'`)) {
      await rpc('resolve_row', { p_queue: 'dm_queue', p_id: String(id), p_decision: 'done' });
    }
  };
  const options = { deps: null, limitMs: 60_000, scheduler: 'test' };
  const done = Promise.all([
    ...Array.from({ length: 4 }, () => repeat(() => tick(enrolments, realTimePorts(rpc), options), 10)),
    ...Array.from({ length: 4 }, () => repeat(() => tick(queue, realTimePorts(rpc), options), 10)),
    ...Array.from({ length: 3 }, () => repeat(intervene, 60)),
    repeat(settleUnknowns, 200),
  ]);
  const open = async () =>
    (
      await stack.sql(
        `select count(*)::integer as n from punctual.enrolments where status in ('pending', 'running')`,
      )
    )[0]?.n;
  const until = Date.now() + 90_000;
  while ((await open()) > 0 && Date.now() < until) await sleep(200);
  working = false;
  await done;

  expect(failures).toEqual([]);
  expect(await open()).toBe(0);
  expect(
    await stack.sql(
      `select status, count(*)::integer from punctual.dm_queue where status not in ('sent', 'cancelled') group by 1`,
    ),
  ).toEqual([]);
  const [{ deadlocks }] = (await stack.sql(
    'select deadlocks from pg_stat_database where datname = current_database()',
  )) as [{ deadlocks: unknown }];
  expect(Number(deadlocks)).toBe(0);

  // Each step went out once and in order, by the provider's record.
  const stepsOf = new Map<string, number[]>();
  for (const { enrolment_id, step } of sent) {
    const id = String(enrolment_id);
    stepsOf.set(id, [...(stepsOf.get(id) ?? []), step]);
  }
  const final = await stack.sql(
    'select id::text, phase, sent_steps, account_id from punctual.enrolments order by id',
  );
  for (const { id, phase, sent_steps } of final) {
    const sentSteps = stepsOf.get(id) ?? [];
    expect(sentSteps, `steps of ${id}, ${phase}`).toEqual(
      Array.from({ length: sent_steps }, (_, n) => n + 1),
    );
    if (phase === 'completed') expect(sentSteps).toHaveLength(4);
  }
  expect(new Set(final.map(({ phase }) => phase))).toEqual(new Set(['completed', 'replied', 'stopped']));

  // No message was claimed after its enrolment was known to be stopped.
  const claims = await stack.sql(
    'select enrolment_id::text as id, extract(epoch from claimed_at) * 1000 as ms from punctual.dm_queue where claimed_at is not null',
  );
  const late = claims.filter(({ id, ms }) => Number(ms) > (overSince.get(id) ?? Number.POSITIVE_INFINITY));
  expect(late).toEqual([]);
  expect(overSince.size).toBeGreaterThan(5);
  // Nor after a reply that stops it.
  const answered = await stack.sql(
    `select d.id from punctual.dm_queue d join punctual.enrolments e on e.id = d.enrolment_id and e.phase = 'replied'
      where d.claimed_at > e.finished_at + interval '1 second'`,
  );
  expect(answered).toEqual([]);
}, 150_000);

it.each([
  ['commits with other rows', 'commit', 2],
  ['is rolled back', 'rollback', 0],
] as const)(
  'a message locked by a claim that %s is not claimed after its enrolment was stopped',
  async (_how, end, claimed) => {
    const [{ id: sequence }, accounts] = [
      (await rpc('create_sequence', {
        p_sequence: { name: `held ${end}`, channel: 'linkedin', time_zone: null, steps: [stepOf({})] },
      })) as { id: string },
      await stack.sql(
        `insert into punctual.accounts (provider, provider_account_id, name) select 'unipile', 'us-' || n, 'A' from generate_series(1, 5) n returning id`,
      ),
    ];
    const people = accounts.map(({ id }) => ({ account_id: id, recipient: `p-${id}` }));
    const { rows } = (await rpc('enrol_people', { p_sequence_id: sequence, p_people: people })) as {
      rows: { id: string }[];
    };
    await tick(enrolments, realTimePorts(rpc), { deps: null, limitMs: 60_000, scheduler: 'test' });

    const claiming = new Client({ connectionString: stack.databaseUrl });
    await claiming.connect();
    try {
      await claiming.query('begin');
      const identity = {
        id: crypto.randomUUID(),
        queue: 'dm_queue',
        partition: 'main',
        limit_seconds: 60,
        providers: ['unipile'],
      };
      const claim = await claiming.query('select punctual.exchange($1, p_want => 2) as reply', [identity]);
      expect(claim.rows[0].reply.rows).toHaveLength(2);
      for (const { id } of rows) await rpc('stop_enrolment', { p_id: id });
      await claiming.query(end);
    } finally {
      await claiming.end();
    }

    const sent: Message[] = [];
    const perform = (message: Message) => {
      sent.push(message);
      return done();
    };
    const queue = { ...messenger(sent), perform };
    for (let n = 0; n < 2; n++) {
      await tick(queue, realTimePorts(rpc), { deps: null, limitMs: 60_000, scheduler: 'test' });
    }
    expect(sent).toEqual([]);
    const states = await stack.sql(
      'select status, count(*)::integer as n from punctual.dm_queue group by 1 order by 1',
    );
    expect(Object.fromEntries(states.map(({ status, n }) => [status, n]))).toEqual({
      cancelled: 5 - claimed,
      ...(claimed > 0 && { sending: claimed }),
    });
    expect(await stack.sql('select * from punctual.held_rows')).toEqual([]);
  },
);

it.each(['the reply', 'the pair'])(
  'a WhatsApp reply without the number stops the sequence even if the call with %s is uncommitted when the other arrives',
  async (first) => {
    const userId = `DE.${crypto.randomUUID().replaceAll('-', '')}`;
    const { id: sequence } = (await rpc('create_sequence', {
      p_sequence: { name: userId, channel: 'whatsapp', time_zone: null, steps: [stepOf({})] },
    })) as { id: string };
    const [account] = await stack.sql(
      `insert into punctual.accounts (provider, provider_account_id, name) values ('whatsapp_cloud', 'phone', 'A') returning id`,
    );
    const people = [{ account_id: account?.id, recipient: '+49 170 1' }];
    await rpc('enrol_people', { p_sequence_id: sequence, p_people: people });

    const common = { provider_account_id: 'phone', user_id: userId };
    const pair = {
      kind: 'status',
      status: 'sent',
      message_id: `pair ${userId}`,
      recipient: '491701',
      ...common,
    };
    const reply = { kind: 'message', status: 'received', message_id: userId, recipient: userId, ...common };
    const receipts = first === 'the reply' ? [reply, pair] : [pair, reply];
    const uncommitted = new Client({ connectionString: stack.databaseUrl });
    await uncommitted.connect();
    try {
      await uncommitted.query('begin');
      await uncommitted.query(`select punctual.receive_receipts('whatsapp_cloud', $1)`, [
        JSON.stringify([receipts[0]]),
      ]);
      const other = rpc('receive_receipts', { p_provider: 'whatsapp_cloud', p_receipts: [receipts[1]] });
      await sleep(300);
      await uncommitted.query('commit');
      await other;
    } finally {
      await uncommitted.end();
    }
    expect(await stack.sql('select phase from punctual.enrolments')).toEqual([{ phase: 'replied' }]);
  },
);
