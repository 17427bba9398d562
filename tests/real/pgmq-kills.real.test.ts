import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { installPgmq } from '../support/pgmq-sql.ts';
import { failsForGood, failsOnce, killsWorker, startWorker } from './pgmq-process.ts';
import { randomKills } from './random-kills.ts';
import { testStack } from './test-stack.ts';

const messages = 5_000;
const workers = 3;
const rounds = 8;
const maxAttempts = 6;
/** Longer than a lease, in seconds. */
const roundSeconds = 95;

const stack = testStack();
let journal: string;
const started: ChildProcess[] = [];
beforeAll(() => {
  journal = mkdtempSync(path.join(tmpdir(), 'punctual-pgmq-'));
});
afterAll(() => {
  for (const child of started) child.kill('SIGKILL');
  rmSync(journal, { recursive: true });
});

/** Lets time pass, both for pgmq, which uses the database's clock, and for the workers started later. */
let aheadMs = 0;
async function pass(seconds: number) {
  aheadMs += seconds * 1_000;
  await stack.sql('update pgmq.q_orders set vt = vt - make_interval(secs => $1)', [seconds]);
}

function start(): ChildProcess {
  const { supabaseUrl, serviceRoleKey } = stack;
  const child = startWorker({ supabaseUrl, serviceRoleKey, journal, aheadMs });
  started.push(child);
  return child;
}

const isOver = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null;

/** Kills the worker `waitMs` after it handled its first message. Returns false if it had ended before. */
async function killAfter(child: ChildProcess, waitMs: number): Promise<boolean> {
  const ended = once(child, 'exit');
  while (!isOver(child) && !existsSync(path.join(journal, String(child.pid)))) await sleep(5);
  await Promise.race([ended, sleep(waitMs)]);
  const isKilled = !isOver(child) && child.kill('SIGKILL');
  if (!isOver(child)) await ended;
  return isKilled && child.signalCode === 'SIGKILL';
}

/** Returns the attempts of each message that reached a handler. */
function readJournal(): Map<number, number[]> {
  const deliveries = new Map<number, number[]>();
  for (const name of readdirSync(journal)) {
    for (const line of readFileSync(path.join(journal, name), 'utf8').split('\n').filter(Boolean)) {
      const [n = 0, attempt = 0] = line.split(' ').map(Number);
      deliveries.set(n, [...(deliveries.get(n) ?? []), attempt]);
    }
  }
  return deliveries;
}

it('with workers killed at random, each of 5,000 messages is handled, none is lost or archived unhandled, and none exceeds its attempts', async () => {
  const random = randomKills();
  // As on Supabase, pgmq and its queues belong to a role that is not a superuser.
  const owner = await stack.begin(stack.ownerUrl);
  await installPgmq({ sql: async (text) => (await owner.query(text)).rows });
  await owner.query(`select pgmq.create('orders')`);
  await owner.query(`select punctual.add_message_queue('orders', 'handle', p_settings => $1::jsonb)`, [
    JSON.stringify({ max_attempts: maxAttempts, max_ticks: 100 }),
  ]);
  await owner.query('commit');
  await stack.sql(`update punctual.queues set batch_limit = null, concurrency = 5 where name = 'pgmq'`);
  await stack.sql(
    `select pgmq.send_batch('orders', array(select jsonb_build_object('n', n) from generate_series(1, $1::integer) n))`,
    [messages],
  );

  let killed = 0;
  for (let round = 0; round < rounds; round++) {
    const waits = Array.from({ length: workers }, () => 100 + random() * 900);
    const ends = await Promise.all(waits.map((waitMs) => killAfter(start(), waitMs)));
    killed += ends.filter(Boolean).length;
    await pass(roundSeconds);
  }
  const [{ left }] = await stack.sql('select count(*)::integer as left from pgmq.q_orders');

  // Other workers finish the rest; only their messages kill them. When no message is visible, time passes until one is.
  await stack.sql(`update punctual.queues set concurrency = 20 where name = 'pgmq'`);
  let worker = start();
  for (let starts = 1; starts <= 20; ) {
    const [now] = await stack.sql(
      `select count(*)::integer as left, ceil(extract(epoch from min(vt) - clock_timestamp()))::integer as next_seconds,
              (select count(*)::integer from punctual.messages where state = 'running') as running from pgmq.q_orders`,
    );
    if (now.left === 0) break;
    if (isOver(worker)) {
      await pass(roundSeconds);
      worker = start();
      starts++;
    } else if (now.running === 0 && now.next_seconds > 0) {
      await pass(now.next_seconds + 30);
      worker.send(aheadMs);
    }
    await sleep(30);
  }

  const deliveries = readJournal();
  const archived = await stack.sql(`select (message->>'n')::integer as n from pgmq.a_orders`);
  const aside = await stack.sql(
    `select (message->>'n')::integer as n, attempts, last_error from punctual.set_aside_messages order by msg_id`,
  );
  const counts = [...deliveries.values()].map((attempts) => attempts.length);
  const repeats = counts.reduce((sum, count) => sum + count - 1, 0);
  console.log(
    `${killed} workers killed with ${messages - left} of ${messages} done, ${aside.length} messages set aside, ` +
      `${repeats} repeated deliveries, at most ${Math.max(...counts)} deliveries of one message`,
  );

  expect(killed).toBeGreaterThanOrEqual(rounds * workers - 6);
  // No message is lost: each is either archived or set aside, and not both.
  expect(await stack.sql('select msg_id from pgmq.q_orders')).toEqual([]);
  const all = Array.from({ length: messages }, (_, index) => index + 1);
  expect([...archived, ...aside].map(({ n }) => n).sort((a, b) => a - b)).toEqual(all);
  // Every archived and every set-aside message reached a handler.
  expect(all.filter((n) => !deliveries.has(n))).toEqual([]);
  // Only messages that kill their worker or fail for good are set aside, with the reason. The former use all of their attempts.
  const died = 'the tick died while this message was being handled';
  expect(aside).toMatchObject(
    all
      .filter((n) => killsWorker(n) || failsForGood(n))
      .map((n) =>
        killsWorker(n) ? { n, last_error: died, attempts: maxAttempts } : { n, last_error: 'no such order' },
      ),
  );
  expect(Math.max(...counts)).toBeLessThanOrEqual(maxAttempts);
  for (const [n, attempts] of deliveries)
    if (failsOnce(n) && attempts.includes(1)) expect(attempts.length).toBeGreaterThan(1);
}, 300_000);
