import { beforeAll, beforeEach } from 'vitest';
import type { Outcome } from './exchanges.ts';
import { perTestExchanges, testDatabase } from './fixtures.ts';
import { installPgmq } from './pgmq-sql.ts';

/** Sets up a database of the file's own with pgmq and, in each test, its empty queue `orders`. Returns the tests' helpers. */
export function messageQueues() {
  const database = testDatabase({ own: true });
  beforeAll(() => installPgmq(database));
  beforeEach(async () => {
    await database.sql('truncate punctual.messages, punctual.set_aside_messages');
    await database.sql('select pgmq.drop_queue(queue_name) from pgmq.list_queues()');
    await create('orders');
  });
  const sql = perTestExchanges(database);

  const create = (name: string) => database.sql('select pgmq.create($1)', [name]);
  const change = (set: string) => database.sql(`update punctual.queues set ${set} where name = 'pgmq'`);
  /** Adds a pgmq queue. `more` holds further arguments: `, 'job', p_on_done => 'delete'`. */
  async function add(name = 'orders', more = '') {
    const [{ a }] = await database.sql(`select punctual.add_message_queue('${name}'${more}) as a`);
    // Tests have many ticks open at once.
    await change('max_ticks = 100');
    return a;
  }
  async function recreate() {
    await database.sql(`select pgmq.drop_queue('orders')`);
    await create('orders');
  }
  async function send(message: unknown = { name: 'x' }, queue = 'orders', delaySeconds = 0): Promise<string> {
    const values = [queue, JSON.stringify(message), delaySeconds];
    const [{ id }] = await database.sql('select pgmq.send($1, $2::jsonb, $3::integer) as id', values);
    return `${queue}:${id}`;
  }
  const tick = (changes: object = {}) => sql.tick({ queue: 'pgmq', partition: 'orders', ...changes });

  /** Claims visible messages. `settle` writes an outcome for the last of them. */
  async function claim(want?: number) {
    const one = tick();
    const { rows, claimId: claim_id, swept } = await one.claim(want);
    const id = rows.at(-1)?.id ?? '';
    const record = { id, claim_id, outcome: 'done', error: 'e', delay_seconds: 0 };
    const settle = async (outcome: string, more: Partial<Outcome> = {}) =>
      (await one.settle([{ ...record, ...more, outcome }])).settled;
    return { id, claim_id, rows, swept, tick: one, settle };
  }
  async function sendAndClaim(message?: unknown) {
    await send(message);
    return claim();
  }

  /** Lets time pass. pgmq reads the database's clock, so its stored times move back instead. */
  async function pass(seconds: number) {
    sql.pass(seconds);
    for (const { queue_name } of await database.sql('select * from pgmq.list_queues()')) {
      await database.sql(`update pgmq."q_${queue_name}" set vt = vt - make_interval(secs => $1)`, [seconds]);
    }
  }
  /** Claims and lets the lease pass, as if the process was killed. */
  async function claimAndDie() {
    const claimed = await claim();
    await pass(91);
    return claimed;
  }

  /** Returns the messages of `orders` by place. */
  async function places() {
    const read = (table: string) => database.sql(`select * from ${table} order by msg_id`);
    return {
      queued: await read('pgmq.q_orders'),
      archived: await read('pgmq.a_orders'),
      setAside: await read('punctual.set_aside_messages'),
    };
  }

  /** Runs the calls as the service role. Over REST it is the caller anyway; the embedded database needs `set role`. */
  async function asServiceRole<T>(calls: () => Promise<T>): Promise<T> {
    if (process.env.STACK_POSTGRES) return calls();
    await database.sql('set role service_role');
    return calls().finally(() => database.sql('reset role'));
  }
  /** Makes the calls while the extension seems to be missing. */
  async function withoutPgmq<T>(calls: () => Promise<T>): Promise<T> {
    await database.sql('alter schema pgmq rename to pgmq_away');
    return calls().finally(() => database.sql('alter schema pgmq_away rename to pgmq'));
  }
  /** Returns the queue `pgmq` of the stats. */
  // biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
  async function stats(): Promise<any> {
    const { queues } = (await database.rpc('read_stats', { p_now: sql.now })) as {
      queues: { name: string }[];
    };
    return queues.find(({ name }) => name === 'pgmq');
  }

  const helpers = { database, sql, create, recreate, change, add, send, tick, claim, sendAndClaim, pass };
  return { ...helpers, claimAndDie, places, asServiceRole, withoutPgmq, stats };
}
