/**
 * Measures ticks of enrolments on real Postgres behind PostgREST: `npm run bench:enrolments`.
 *
 * - The duration of one tick that turns 10,000 due enrolments into messages.
 * - The cost of an idle tick without waiting enrolments, and with 100,000 of them: half wait for a reply, half for a later day.
 *
 * Alternates between two databases, so that a slow moment of the machine affects both. Fails if the idle tick with waiting enrolments costs more
 * than 1.5 times as much, or if an enrolment has no message.
 */
import { parseArgs } from 'node:util';
import { tick } from '../lib/engine/tick.ts';
import { enrolments } from '../lib/queues/sequences/queue.ts';
import { supabaseRpc } from '../lib/store/supabase-rpc.ts';
import { type Stack, startStack } from '../tests/stack/start-stack.ts';
import { realTimePorts } from '../tests/support/real-time-ports.ts';
import { median } from './due-dms.ts';

const { values: flags } = parseArgs({
  options: {
    due: { type: 'string', default: '10000' },
    waiting: { type: 'string', default: '100000' },
    rounds: { type: 'string', default: '60' },
    postgres: { type: 'string', default: '15' },
  },
});

const steps = [
  {
    kind: 'question',
    delay_seconds: 0,
    hours: Object.fromEntries(
      ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'].map((day) => [day, ['00:00-24:00']]),
    ),
    body: 'Hi {{first_name}}, how are things at {{company}}?',
    template: null,
    on_reply: 'continue',
    reminder: null,
    no_reply: null,
  },
];

async function addPeople(stack: Stack, first: number, count: number, changes: string): Promise<void> {
  await stack.sql(
    `insert into punctual.enrolments (sequence_id, version, account_id, channel, recipient, variables, time_zone, next_step_at, phase, waits_for, enrolled_at)
     select 1, 1, a.id, 'linkedin', 'person ' || n, jsonb_build_object('first_name', 'Name ' || n, 'company', 'Company ' || n), 'Europe/Berlin',
            ${changes}, now()
       from generate_series($1::integer, $2::integer) n join (select id, row_number() over () as number from punctual.accounts) a on a.number = 1 + n % 100`,
    [first, first + count - 1],
  );
  await stack.sql('vacuum (analyze) punctual.enrolments');
}

async function side(waiting: number) {
  const stack = await startStack({ postgres: flags.postgres as '15' | '18' });
  const rpc = supabaseRpc({ url: stack.supabaseUrl, serviceRoleKey: stack.serviceRoleKey });
  await rpc('create_sequence', {
    p_sequence: { name: 'bench', channel: 'linkedin', time_zone: null, steps },
  });
  await stack.sql(
    `insert into punctual.accounts (provider, provider_account_id, name) select 'unipile', 'account-' || n, 'Account ' || n from generate_series(1, 100) n`,
  );
  if (waiting > 0) {
    await addPeople(stack, 1_000_000, waiting / 2, `null, 'waiting_reply', 'an answer'`);
    await addPeople(
      stack,
      2_000_000,
      waiting / 2,
      `now() + interval '1 day' + n * interval '1 second', 'in_progress', null`,
    );
  }
  const run = () => tick(enrolments, realTimePorts(rpc), { deps: null, limitMs: 60_000, scheduler: 'bench' });
  return { stack, run, idleMs: [] as number[] };
}

const [none, many] = [await side(0), await side(Number(flags.waiting))] as const;
try {
  for (let n = 0; n < Number(flags.rounds); n++) {
    for (const one of [none, many]) {
      const startedAt = performance.now();
      const { counts } = await one.run();
      if (counts.claimed > 0) throw new Error(`an idle tick claimed ${counts.claimed}`);
      one.idleMs.push(performance.now() - startedAt);
    }
  }
  const [a, b] = [median(none.idleMs.slice(5)), median(many.idleMs.slice(5))];
  console.log(
    `an idle tick: ${a.toFixed(1)} ms without waiting enrolments, ${b.toFixed(1)} ms with ${flags.waiting}; ratio ${(b / a).toFixed(2)}`,
  );

  for (const [one, waiting] of [
    [none, '0'],
    [many, flags.waiting],
  ] as const) {
    await addPeople(
      one.stack,
      1,
      Number(flags.due),
      `now() - n * interval '1 millisecond', 'in_progress', null`,
    );
    const { counts, usedMs, budgetMs, ended, exchanges } = await one.run();
    const [{ messages, advanced }] = await one.stack.sql(
      `select (select count(*)::integer from punctual.dm_queue) as messages,
              (select count(*)::integer from punctual.enrolments where message_id is not null) as advanced`,
    );
    console.log(
      `${counts.again} of ${flags.due} due enrolments advanced beside ${waiting} waiting ones in ${(usedMs / 1_000).toFixed(1)} s of ${budgetMs / 1_000} s ` +
        `(${ended}; ${exchanges} exchanges), ${messages} messages queued`,
    );
    if (messages !== Number(flags.due) || advanced !== messages) {
      console.error(`${advanced} enrolments have a message, and ${messages} messages are queued.`);
      process.exitCode = 1;
    }
  }
  if (b / a > 1.5) {
    console.error('With waiting enrolments, an idle tick costs more than 1.5 times as much.');
    process.exitCode = 1;
  }
} finally {
  for (const one of [none, many]) await one.stack.stop();
}
