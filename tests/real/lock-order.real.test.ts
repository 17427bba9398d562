import type { Client } from 'pg';
import { beforeEach, expect, it } from 'vitest';
import { conversations } from '../support/conversations.ts';
import { exchanges } from '../support/exchanges.ts';
import { testStack } from './test-stack.ts';

/** Runs two calls step by step, each holding the lock that the other needs next. With one order of locks there is no deadlock. */

const stack = testStack();
beforeEach(async () => {
  await stack.sql('update punctual.queues set max_ticks = 100');
  await stack.sql(
    `insert into punctual.providers (name, failures, paused_until) select p, 1, now() - interval '1 second' from unnest('{unipile, whatsapp_cloud}'::text[]) p`,
  );
});

const sessions = () => Promise.all([stack.begin(stack.ownerUrl), stack.begin(stack.ownerUrl)]);

/** Sends a new tick's exchange that claims and reports failed providers. */
async function exchange(session: Client, failed: string[]): Promise<void> {
  const tick = { id: crypto.randomUUID(), queue: 'dm_queue', partition: 'main', limit_seconds: 60 };
  const providers = failed.map((name) => ({ name, ok: false, error: 'away' }));
  await session.query('select punctual.exchange($1, 1, $2, 1)', [
    { ...tick, providers: ['unipile', 'whatsapp_cloud'] },
    { providers },
  ]);
}

const note = (session: Client, name: string) =>
  session.query('select punctual.note_providers($1, now())', [
    JSON.stringify([{ name, ok: false, error: 'away' }]),
  ]);

it('two ticks that each saw a different provider fail claim side by side', async () => {
  const [one, other] = await sessions();
  await note(one, 'whatsapp_cloud');
  const claiming = exchange(other, ['unipile']).then(() => other.query('commit'));
  await stack.isBlocked(other, claiming);
  await exchange(one, []);
  await one.query('commit');
  await claiming;
});

it('a tick that sweeps an enrolment’s message locks no provider while it waits for the enrolment', async () => {
  const sql = exchanges(stack);
  const people = conversations(stack, sql);
  const account_id = await sql.addAccount();
  await people.enrol(await people.addSequence([{ body: 'one' }]), [{ account_id, chat_id: 'c' }]);
  await stack.sql(
    `insert into punctual.dm_queue (account_id, channel, chat_id, body, enrolment_id, step, status, claim_id, claimed_at, lease_expires_at)
     select account_id, channel, chat_id, 'one', id, 1, 'sending', gen_random_uuid(), now() - interval '2 minutes', now() - interval '1 minute'
       from punctual.enrolments`,
  );
  const [settling, sweeping] = await sessions();
  await settling.query('select from punctual.enrolments for no key update');
  const sweep = exchange(sweeping, ['unipile']);
  await stack.isBlocked(sweeping, sweep);
  await note(settling, 'unipile');
  await settling.query('commit');
  await sweep;
  await sweeping.query('commit');
  expect(await stack.sql('select status from punctual.dm_queue')).toEqual([{ status: 'unknown' }]);
});

it('after_restore waits for the exchange under way, and the next exchange finds its queue paused', async () => {
  const [ticking, restoring] = await sessions();
  await exchange(ticking, []);
  const call = restoring.query(`select punctual.after_restore(now() - interval '1 minute')`);
  expect(await stack.isBlocked(restoring, call)).toBe(true);
  await ticking.query('commit; begin');
  await call;
  const next = exchange(ticking, []);
  expect(await stack.isBlocked(ticking, next)).toBe(true);
  await restoring.query('commit');
  await next;
  await ticking.query('commit');
  expect(await stack.sql('select outcome from punctual.ticks order by started_at')).toEqual([
    { outcome: null },
    { outcome: 'paused' },
  ]);
});
