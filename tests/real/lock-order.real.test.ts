import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { type Stack, startStack } from '../stack/start-stack.ts';
import { stepOf } from '../support/conversations.ts';

/** Runs two calls step by step, each holding the lock that the other needs next. With one order of locks there is no deadlock. */

let stack: Stack;
const sessions: Client[] = [];

beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack?.stop());
afterEach(async () => {
  for (const session of sessions.splice(0)) await session.end();
});
beforeEach(async () => {
  await stack.sql(
    'truncate punctual.accounts, punctual.sequences, punctual.ticks, punctual.providers restart identity cascade',
  );
  await stack.sql('update punctual.queues set max_ticks = 100');
  await stack.sql(
    `insert into punctual.providers (name, failures, paused_until) select p, 1, now() - interval '1 second' from unnest('{unipile, whatsapp_cloud}'::text[]) p`,
  );
});

/** Opens a session in a transaction. `pid`: its process id in Postgres. */
async function begin(): Promise<{ client: Client; pid: number }> {
  const client = new Client({ connectionString: stack.ownerUrl });
  await client.connect();
  sessions.push(client);
  await client.query('begin');
  const { rows } = await client.query('select pg_backend_pid() as pid');
  return { client, pid: rows[0].pid };
}

/** Sends a new tick's exchange that claims and reports failed providers. */
async function exchange(client: Client, failed: string[]): Promise<void> {
  const tick = { id: crypto.randomUUID(), queue: 'dm_queue', partition: 'main', limit_seconds: 60 };
  const providers = failed.map((name) => ({ name, ok: false, error: 'away' }));
  await client.query('select punctual.exchange($1, 1, $2, 1)', [
    { ...tick, providers: ['unipile', 'whatsapp_cloud'] },
    { providers },
  ]);
}

const note = (client: Client, name: string) =>
  client.query('select punctual.note_providers($1, now())', [
    JSON.stringify([{ name, ok: false, error: 'away' }]),
  ]);

/** Waits until the session waits for a lock or its call ends. Returns whether it waits for a lock. */
async function untilBlocked(pid: number, call: Promise<unknown>): Promise<boolean> {
  let done = false;
  call.then(
    () => (done = true),
    () => (done = true),
  );
  while (!done) {
    const [{ waits }] = await stack.sql('select cardinality(pg_blocking_pids($1)) > 0 as waits', [pid]);
    if (waits) return true;
  }
  return false;
}

it('two ticks that each saw a different provider fail claim side by side', async () => {
  const [one, other] = [await begin(), await begin()];
  await note(one.client, 'whatsapp_cloud');
  const claiming = exchange(other.client, ['unipile']).then(() => other.client.query('commit'));
  await untilBlocked(other.pid, claiming);
  await exchange(one.client, []);
  await one.client.query('commit');
  await claiming;
});

it('a tick that sweeps an enrolment’s message locks no provider while it waits for the enrolment', async () => {
  const [{ sequence }] = await stack.sql(`select punctual.create_sequence($1)->>'id' as sequence`, [
    { name: 's', channel: 'linkedin', time_zone: null, steps: [stepOf({ body: 'one' })] },
  ]);
  await stack.sql(
    `with a as (insert into punctual.accounts (provider, provider_account_id, name) values ('unipile', 'us', 'A') returning id)
     select punctual.enrol_people($1, jsonb_build_array(jsonb_build_object('account_id', id, 'chat_id', 'c'))) from a`,
    [sequence],
  );
  await stack.sql(
    `insert into punctual.dm_queue (account_id, channel, chat_id, body, enrolment_id, step, status, claim_id, claimed_at, lease_expires_at)
     select account_id, channel, chat_id, 'one', id, 1, 'sending', gen_random_uuid(), now() - interval '2 minutes', now() - interval '1 minute'
       from punctual.enrolments`,
  );
  const [settling, sweeping] = [await begin(), await begin()];
  await settling.client.query('select from punctual.enrolments for no key update');
  const sweep = exchange(sweeping.client, ['unipile']);
  await untilBlocked(sweeping.pid, sweep);
  await note(settling.client, 'unipile');
  await settling.client.query('commit');
  await sweep;
  await sweeping.client.query('commit');
  expect(await stack.sql('select status from punctual.dm_queue')).toEqual([{ status: 'unknown' }]);
});

it('after_restore waits for the exchange under way, and the next exchange finds its queue paused', async () => {
  const [ticking, restoring] = [await begin(), await begin()];
  await exchange(ticking.client, []);
  const call = restoring.client.query(`select punctual.after_restore(now() - interval '1 minute')`);
  expect(await untilBlocked(restoring.pid, call)).toBe(true);
  await ticking.client.query('commit');
  await call;
  await ticking.client.query('begin');
  const next = exchange(ticking.client, []);
  expect(await untilBlocked(ticking.pid, next)).toBe(true);
  await restoring.client.query('commit');
  await next;
  await ticking.client.query('commit');
  expect(await stack.sql('select outcome from punctual.ticks order by started_at')).toEqual([
    { outcome: null },
    { outcome: 'paused' },
  ]);
  await stack.sql('update punctual.queues set paused_at = null');
});
