import { readFileSync } from 'node:fs';
import { splitStatements } from '../../lib/store/migrate/sql-statements.ts';
import { conversations } from '../support/conversations.ts';
import { exchanges, finding } from '../support/exchanges.ts';
import type { TestDatabase } from '../support/test-database.ts';

const fixture = (name: string) =>
  splitStatements(readFileSync(new URL(`../fixtures/free-trials/${name}`, import.meta.url), 'utf8'));

/** The time of the filled database's last changes. */
export const filledAt = '2026-03-02T12:00:00Z';

/**
 * Fills an empty database with rows in every state, through the calls that make them: DMs, posts, jobs, a table of your own, enrolments,
 * monitors, receipts, paused accounts. One tick stays open with running rows, as a deployment may find it.
 */
export async function fillDatabase(database: TestDatabase): Promise<void> {
  const sql = exchanges(database);
  const talk = conversations(database, sql);
  sql.setNow('2026-03-02T11:00:00Z');
  for (const file of ['existing-table.sql', 'migration.sql']) {
    for (const { text } of fixture(file)) await database.sql(text);
  }
  await fillDms(sql);
  await fillPostsAndJobs(database, sql);
  await fillTrials(database, sql);
  await fillEnrolments(sql, talk);
  await fillMonitors(database, sql);
  sql.setNow(filledAt);
  await sql.rollUp();
  await leaveRunning(sql);
}

type Sql = ReturnType<typeof exchanges>;

/** Adds a DM for each outcome, each with an account of its own. */
async function fillDms(sql: Sql): Promise<void> {
  const outcomes = {
    done: { result: { provider_message_id: 'm-done' } },
    retry: { error: 'busy', delay_seconds: 7_200 },
    dead: { error: 'no such chat' },
    unknown: { error: 'no response' },
    again: { delay_seconds: 7_200 },
  };
  for (const [outcome, more] of Object.entries(outcomes)) {
    await sql.addDm(await sql.addAccount({ name: outcome }), { body: outcome });
    await sql.drain(outcome, more);
  }
  // By then the first check is due.
  sql.pass(30);
  await sql.settleFindings(
    (await sql.takeUnknown()).map((one) => finding(one, { candidates: ['m-other'], text: 'look there' })),
  );
  const paused = await sql.addAccount({ name: 'paused', paused_until: 'infinity', paused_reason: 'by hand' });
  await sql.addDm(paused, { body: 'paused' });
  const cancelled = await sql.addDm(paused, { body: 'cancelled' });
  await sql.resolve(cancelled, 'cancelled', 'not needed');
  await sql.addDm(await sql.addAccount({ name: 'later' }), { body: 'later', send_at: sql.at(86_400) });
  await sql.receive([{ kind: 'status', status: 'delivered', message_id: 'm-done', said_at: sql.now }]);
  await sql.receive([{ kind: 'status', status: 'delivered', message_id: 'm-nobody', said_at: sql.now }]);
}

async function fillPostsAndJobs(database: TestDatabase, sql: Sql): Promise<void> {
  for (const outcome of ['done', 'dead', 'unknown', 'later']) {
    const post = {
      account_id: await sql.addAccount({ name: `posts ${outcome}` }),
      body: outcome,
      scheduled_for: outcome === 'later' ? sql.at(86_400) : sql.now,
      idempotency_key: outcome,
    };
    await database.rpc('enqueue_posts', { p_rows: [post], p_now: sql.now });
    const result = outcome === 'done' ? { provider_post_id: 'urn:li:activity:1' } : null;
    await settleAll(sql, { queue: 'posts' }, outcome, { error: 'e', result });
  }
  for (const outcome of ['done', 'dead', 'retry', 'unknown']) {
    await database.rpc('create_jobs', {
      p_rows: [{ name: 'nap', queue: 'default', payload: { ms: 1 }, unique_key: outcome }],
      p_now: sql.now,
    });
    await settleAll(sql, { queue: 'jobs', partition: 'default' }, outcome, {
      error: 'e',
      delay_seconds: 7_200,
    });
  }
}

async function fillTrials(database: TestDatabase, sql: Sql): Promise<void> {
  for (const outcome of ['done', 'dead', 'unknown', 'retry', 'again']) {
    await database.sql(
      `insert into public.free_trials (email, question_url, next_question_scheduled_for) values ('${outcome}@a.example', 'https://a.example', '${sql.now}')`,
    );
    const result = { last_question: 'how is it?' };
    await settleAll(sql, { queue: 'free_trials' }, outcome, { error: 'e', delay_seconds: 7_200, result });
  }
  await database.sql(
    `insert into public.free_trials (email, question_url, next_question_scheduled_for) values ('pending@a.example', 'https://a.example', '${filledAt}')`,
  );
}

async function fillEnrolments(sql: Sql, talk: ReturnType<typeof conversations>): Promise<void> {
  const account = await sql.addAccount({ name: 'sequences' });
  const sequence = await talk.addSequence([{ body: 'one' }, { body: 'two', delay_seconds: 86_400 }]);
  const people = ['ann', 'bob', 'cid'].map((recipient) => ({
    account_id: account,
    recipient,
    person: recipient,
  }));
  const [, second, third] = await talk.enrol(sequence, people);
  await talk.advance();
  await talk.send();
  await talk.advance();
  await talk.call('pause_enrolment', { p_id: second });
  await talk.call('stop_enrolment', { p_id: third });
}

async function fillMonitors(database: TestDatabase, sql: Sql): Promise<void> {
  await database.rpc('create_monitors', {
    p_rows: [
      { name: 'up', url: 'https://up.example' },
      { name: 'down', url: 'https://down.example', confirm_failures: 1 },
    ],
    p_now: sql.now,
  });
  sql.pass(600);
  const tick = sql.tick({ queue: 'monitors' });
  const { rows, claimId } = await tick.claim();
  const records = rows.map(({ id, row }) => ({
    id,
    claim_id: claimId,
    outcome: 'again',
    delay_seconds: 60,
    result: { verdict: row.name, status_code: row.name === 'up' ? 200 : 503, total_ms: 40 },
  }));
  await tick.settle(records, { close: true });
}

async function settleAll(sql: Sql, where: object, outcome: string, more: object): Promise<void> {
  const tick = sql.tick({ ...where });
  const { rows, claimId } = await tick.claim();
  const records = rows.map(({ id, account }) => ({
    id,
    claim_id: claimId,
    outcome,
    account_id: account?.id,
    ...more,
  }));
  await tick.settle(records, { close: true });
}

/** Leaves a tick open that has claimed rows and not settled them. */
async function leaveRunning(sql: Sql): Promise<void> {
  const refused = await sql.addAccount({ name: 'refused' });
  await sql.addDm(refused, { body: 'refused' });
  await sql.drain('retry', { error: '403', refused: 'account', refusal: '403', rate_limited: true });
  for (const body of ['running', 'due'])
    await sql.addDm(await sql.addAccount({ name: body }), {
      body,
      send_at: sql.at(body === 'due' ? 0 : -60),
    });
  await sql.tick().claim(1);
}
