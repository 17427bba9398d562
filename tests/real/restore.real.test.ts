import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { z } from 'zod';
import { defineQueue, type Queue } from '../../lib/engine/queue.ts';
import { dmQueue } from '../../lib/queues/dm-queue/queue.ts';
import { posts } from '../../lib/queues/posts/queue.ts';
import { enrolments } from '../../lib/queues/sequences/queue.ts';
import { supabaseRpc } from '../../lib/store/supabase-rpc.ts';
import { type Sandbox, startSandbox } from '../../sandbox/sandbox.ts';
import { type Stack, startStack } from '../stack/start-stack.ts';
import { stepOf } from '../support/conversations.ts';
import { stackTick } from './tick-process.ts';

/** Follows docs/restore.md with pg_dump: the database is restored to the dump, and the providers keep the messages sent since. */

const tools = '/usr/lib/postgresql/15/bin';
const run = (tool: string, ...args: string[]) =>
  promisify(execFile)(path.join(tools, tool), args, { cwd: '/', maxBuffer: 1e8 });

let sandbox: Sandbox;
let post: PostOffice;
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'punctual-restore-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface PostOffice {
  url: string;
  accepted: string[];
  /** Accepts the next letter, and delays its response until `release`. */
  hold(): { arrived: Promise<void>; release(): void };
  close(): Promise<void>;
}

/** A provider of the test's own: POST /letters accepts a letter, GET /letters lists them. */
async function openPostOffice(): Promise<PostOffice> {
  const accepted: string[] = [];
  let next: { arrive(): void; released: Promise<void> } | null = null;
  const server = createServer(async (request, response) => {
    if (request.method === 'POST') {
      let text = '';
      for await (const chunk of request) text += chunk;
      accepted.push(text);
      const held = next;
      next = null;
      held?.arrive();
      await held?.released;
    }
    response.end(JSON.stringify(accepted));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/letters`,
    accepted,
    hold() {
      let release = () => {};
      const arrived = new Promise<void>((arrive) => {
        const released = new Promise<void>((resolve) => {
          release = resolve;
        });
        next = { arrive, released };
      });
      return { arrived, release };
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const letters = defineQueue({
  name: 'letters',
  row: z.object({ id: z.coerce.string(), body: z.string() }),
  delivery: 'at-most-once',
  timeoutMs: 15_000,
  connect: () => null,
  async perform({ body }, { signal }) {
    await fetch(post.url, { method: 'POST', body, signal });
    return { kind: 'done' };
  },
  async reconcile({ body }, { signal }) {
    const list = (await (await fetch(post.url, { signal })).json()) as string[];
    const proof = list.includes(body) ? [{ messageId: body }] : [];
    return { proof, candidates: [], absentAfterMs: 600_000, text: 'asked the post office' };
  },
});

/** Ticks of one stack. `ahead`: how many seconds later the database is told that it is. */
function ticksOf(stack: Stack) {
  const unipile = { dsn: sandbox.url, apiKey: 'sandbox-key' };
  const rpc = supabaseRpc({ url: stack.supabaseUrl, serviceRoleKey: stack.serviceRoleKey });
  const tick = async (queue: Queue<never, never, never>, ahead: number) => {
    const settings = {
      supabaseUrl: stack.supabaseUrl,
      serviceRoleKey: stack.serviceRoleKey,
      aheadMs: ahead * 1_000,
    };
    const { counts, checks } = await stackTick(queue, queue.connect({ unipile } as never), settings);
    return counts.done + counts.again + (checks?.resolved ?? 0);
  };
  return {
    rpc,
    /** Runs one tick that claims at most `max` rows. */
    async send(name: string, max: number) {
      await stack.sql('update punctual.queues set batch_limit = $1 where name = $2', [max, name]);
      const queue = queues.find((one) => one.name === name);
      if (queue) await tick(queue, 0);
    },
    /** Ticks every queue until none has work. */
    async runAll(ahead: number) {
      await stack.sql('update punctual.queues set batch_limit = null');
      for (let done = 1; done > 0; ) {
        done = 0;
        for (const queue of queues) done += await tick(queue, ahead);
      }
    },
  };
}
const queues = [enrolments, dmQueue, posts, letters] as unknown as Queue<never, never, never>[];

/** The texts delivered so far by all providers, repeats included. */
const delivered = () => [...sandbox.deliveries().map(({ text }) => text), ...post.accepted];
const repeats = () => delivered().filter((text, index, all) => all.indexOf(text) !== index);

async function fill(stack: Stack) {
  await stack.sql(
    'create table public.letters (id bigint generated by default as identity primary key, body text, send_at timestamptz default now())',
  );
  await stack.sql(`select punctual.add_queue('letters', 'public.letters', 'send_at', 'at-most-once')`);
  await stack.sql(
    `insert into punctual.accounts (provider, provider_account_id, name, daily_limit)
     select 'unipile', 'a' || n, 'A' || n, 2 from generate_series(1, 5) n`,
  );
  await stack.sql(
    `insert into punctual.dm_queue (account_id, channel, chat_id, body)
     select a.id, 'linkedin', a.provider_account_id || '__p' || n, 'message ' || a.name || n
       from punctual.accounts a, generate_series(1, 4) n where a.name <> 'A5' order by n, a.name`,
  );
  await stack.sql(
    `insert into punctual.posts (account_id, body) select id, 'post of ' || name from punctual.accounts order by name`,
  );
  await stack.sql(`insert into public.letters (body) select 'letter ' || n from generate_series(1, 6) n`);
  const { rpc } = ticksOf(stack);
  const steps = [stepOf({ body: 'first step' }), stepOf({ body: 'second step' })];
  const sequence = (await rpc('create_sequence', {
    p_sequence: { name: 's', channel: 'linkedin', time_zone: null, steps },
  })) as { id: string };
  const [account] = await stack.sql(`select id from punctual.accounts where name = 'A5'`);
  const people = [{ account_id: account.id, chat_id: 'a5__p9' }];
  await rpc('enrol_people', { p_sequence_id: sequence.id, p_people: people });
}

/** Loses a database and restores its dump. Returns the restored stack, the instant of the dump, and the texts sent since. */
async function loseAndRestore(): Promise<{ stack: Stack; since: string; lost: string[] }> {
  const dump = path.join(directory, `${crypto.randomUUID()}.dump`);
  const first = await startStack({ postgres: '15' });
  let since: string;
  let lost: string[];
  try {
    const ticks = ticksOf(first);
    await fill(first);
    await ticks.send('dm_queue', 4);
    await ticks.send('posts', 1);
    await ticks.send('letters', 1);
    const held = post.hold();
    const underWay = ticks.send('letters', 1);
    await held.arrived;
    [{ now: since }] = await first.sql('select clock_timestamp()::text as now');
    const schemas = ['punctual', 'supabase_migrations', 'public'].map((schema) => `--schema=${schema}`);
    await run('pg_dump', '--format=custom', ...schemas, `--file=${dump}`, first.databaseUrl);
    held.release();
    await underWay;
    const kept = delivered();

    await ticks.send('enrolments', 1);
    await ticks.rpc('enqueue_dms', { p_rows: await lateRow(first) });
    // Sends the second message of four accounts, which fills their day, the sequence's step and the late message.
    await ticks.send('dm_queue', 100);
    await ticks.send('posts', 1);
    await ticks.send('letters', 2);
    lost = delivered().filter((text) => !kept.includes(text));
  } finally {
    await first.stop();
  }
  expect(lost).toHaveLength(6 + 1 + 2);

  const stack = await startStack({ postgres: '15', schema: 'empty' });
  const whole = ['--single-transaction', '--clean', '--if-exists', '--exit-on-error'];
  await run('pg_restore', ...whole, `--dbname=${stack.databaseUrl}`, dump);
  await stack.sql(`notify pgrst, 'reload schema'`);
  const { rpc } = ticksOf(stack);
  while (!(await rpc('list_continuation_limits', {}).catch(() => null)))
    await new Promise((resolve) => setTimeout(resolve, 50));
  return { stack, since, lost };
}

/** A row that is queued after the dump, so the restore loses it. */
async function lateRow(stack: Stack): Promise<object[]> {
  const [account] = await stack.sql(`select id from punctual.accounts where name = 'A5'`);
  return [
    { account_id: account.id, channel: 'linkedin', chat_id: 'a5__p8', body: 'late', idempotency_key: 'k' },
  ];
}

const everything = [
  ...[1, 2, 3, 4].flatMap((n) => [1, 2, 3, 4].map((account) => `message A${account}${n}`)),
  ...[1, 2, 3, 4, 5].map((account) => `post of A${account}`),
  ...[1, 2, 3, 4, 5, 6].map((n) => `letter ${n}`),
  'first step',
  'second step',
  'late',
];

beforeEach(async () => {
  sandbox = await startSandbox();
  post = await openPostOffice();
  return async () => {
    await sandbox.close();
    await post.close();
  };
});

it('a restored database repeats the messages sent since the dump if after_restore is not called', async () => {
  const { stack, lost } = await loseAndRestore();
  try {
    // Later than the limit of the tick that the dump holds as open.
    await ticksOf(stack).runAll(120);
    // The late message is lost. The letter that was in flight becomes unknown by its lease.
    expect(repeats().sort()).toEqual(lost.filter((text) => text !== 'late').sort());
  } finally {
    await stack.stop();
  }
});

it('the restore runbook sends no message twice and loses none', async () => {
  const { stack, since } = await loseAndRestore();
  try {
    const ticks = ticksOf(stack);
    const sent = delivered().length;
    const afterRestore = async () => {
      const { stdout } = await run(
        'psql',
        stack.ownerUrl,
        '-XAt',
        '-v',
        'ON_ERROR_STOP=1',
        '-c',
        `select punctual.after_restore('${since}')`,
      );
      const { queues: list, ...summary } = JSON.parse(stdout);
      const unknown = Object.fromEntries(
        list
          .map((one: { queue: string; unknown: number }) => [one.queue, one.unknown])
          .filter(([, count]: [string, number]) => count > 0),
      );
      return { ...summary, unknown };
    };
    expect(await afterRestore()).toMatchObject({
      unknown: { dm_queue: 12 + 1, posts: 4, letters: 5 },
      accounts_paused: 5,
      messages_queued: 1,
      enrolments_paused: 1,
    });
    await ticks.runAll(0);
    expect(delivered()).toHaveLength(sent);

    // The caller queues the late row again under the same key, and the provider is asked about it as well.
    await ticks.rpc('enqueue_dms', { p_rows: await lateRow(stack) });
    expect(await afterRestore()).toMatchObject({ unknown: { dm_queue: 1 }, enrolments_paused: 0 });
    await ticks.runAll(60);
    const states = () =>
      stack.sql(`select status, count(*)::integer as rows from (
        select status from punctual.dm_queue union all select status from punctual.posts union all select status from public.letters) r
        group by 1 order by 1`);
    expect(await states()).toEqual([
      { status: 'done', rows: 4 },
      { status: 'published', rows: 2 },
      { status: 'sent', rows: 4 + 4 + 2 },
      { status: 'unknown', rows: 8 + 3 + 2 },
    ]);
    await ticks.runAll(1_800);
    expect(await states()).toContainEqual({ status: 'pending', rows: 8 + 2 });
    expect(delivered()).toHaveLength(sent);

    await stack.sql(
      `update punctual.queues set paused_at = null, paused_reason = null where paused_reason like 'restored to %'`,
    );
    expect(await stack.sql('select step, waits_for from punctual.enrolments')).toEqual([
      { step: 2, waits_for: 'somebody to resume it' },
    ]);
    await stack.sql(
      `select punctual.resume_enrolment(id) from punctual.enrolments where paused_at is not null and status = 'pending'`,
    );
    await ticks.runAll(1_860);
    // The other rows wait for their accounts' next day. Letters have no account, so both go out now.
    expect(delivered()).toHaveLength(sent + 2);
    await ticks.runAll(25 * 3_600);
    expect(repeats()).toEqual([]);
    expect(delivered().sort()).toEqual([...everything].sort());
    expect(await stack.sql(`select phase, sent_steps from punctual.enrolments`)).toEqual([
      { phase: 'completed', sent_steps: 2 },
    ]);
  } finally {
    await stack.stop();
  }
});
