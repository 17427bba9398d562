import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { again, defineJob, definePunctual, defineQueue, done, retry } from 'punctual';
import { dmQueue } from 'punctual/queues';
import { SANDBOX_API_KEY, startSandbox } from 'punctual/sandbox';
import { type TestApp, testApp } from 'punctual/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { registerApp, registeredApp } from '../../lib/queues/registered-app.ts';

const fixtures = path.resolve('tests/fixtures/free-trials');
const day = 24 * 3_600_000;
let asked: string[] = [];
let answer: 'yes' | 'no' = 'yes';

const freeTrials = defineQueue({
  name: 'free_trials',
  row: z.object({ id: z.uuid(), email: z.email(), last_question: z.string().nullable() }),
  delivery: 'at-most-once',
  timeoutMs: 10_000,
  async perform({ email, last_question }) {
    // Real work of a handler. Its timeout must not pass meanwhile.
    await new Promise((resolve) => setImmediate(resolve));
    if (answer === 'no') return retry('no answer');
    asked.push(email);
    return last_question === null ? again(24 * 3_600, { last_question: 'first' }) : done();
  },
});
const jobs = {
  greet: defineJob({ payload: z.object({ name: z.string() }), run: async ({ name }) => `hi ${name}` }),
};

const before = registeredApp();
const punctual = definePunctual({ queues: [freeTrials], jobs });
let migrations: string;
let app: TestApp;

/** A folder as an app has it: Punctual's migrations, and its own. */
beforeAll(() => {
  migrations = mkdtempSync(path.join(tmpdir(), 'punctual-testing-'));
  cpSync('supabase/migrations', migrations, { recursive: true });
  cpSync(path.join(fixtures, 'existing-table.sql'), path.join(migrations, '20990101000000_free_trials.sql'));
  cpSync(path.join(fixtures, 'migration.sql'), path.join(migrations, '20990101000001_free_trials_queue.sql'));
});
afterAll(() => {
  rmSync(migrations, { recursive: true });
  registerApp(before);
});
beforeEach(async () => {
  asked = [];
  answer = 'yes';
  app = await testApp(punctual, { migrations });
});
afterEach(() => app.close());

const addTrial = () =>
  app.sql(
    `insert into public.free_trials (email, question_url, next_question_scheduled_for)
     values ('ann@example.com', 'https://x.test', now()) returning id`,
  );
const status = async () => (await app.sql('select status from public.free_trials'))[0].status;

describe('an app in a test', () => {
  it('does the due rows of its own table, and those that fall due once the clock has moved', async () => {
    await addTrial();
    expect(await app.tick(freeTrials)).toMatchObject({ outcome: 'ran', counts: { claimed: 1, again: 1 } });
    expect(await app.tick('free_trials')).toMatchObject({ outcome: 'idle' });
    app.clock.skip(day);
    expect(await app.tick('free-trials')).toMatchObject({ counts: { done: 1 } });
    expect([asked.length, await status()]).toEqual([2, 'finished']);
  });

  it('retries after its backoff, without waiting', async () => {
    answer = 'no';
    await addTrial();
    expect(await app.tick(freeTrials)).toMatchObject({ counts: { retried: 1 } });
    answer = 'yes';
    app.clock.skip(3_600_000);
    expect(await app.tick(freeTrials)).toMatchObject({ counts: { claimed: 1, again: 1 } });
  });

  it('creates and runs its jobs', async () => {
    const { id } = await punctual.createJob('greet', { payload: { name: 'Ann' } });
    const later = { payload: { name: 'Bob' }, run_at: new Date(app.clock.now() + day) };
    await punctual.createJob('greet', later);
    expect(await app.tick('jobs', { partition: 'default' })).toMatchObject({
      reports: [{ counts: { done: 1 } }],
      left: [],
    });
    const [job] = await app.sql('select status, result from punctual.jobs where id = $1', [id]);
    expect(job).toEqual({ status: 'done', result: 'hi Ann' });
    app.clock.skip(day);
    expect(await app.tick('jobs')).toMatchObject({
      reports: [{ counts: { done: 1 } }],
    });
  });

  it('is empty each time, and names its queues if another is ticked', async () => {
    expect(await app.sql('select count(*) from public.free_trials')).toEqual([{ count: 0 }]);
    await expect(app.tick('nothing')).rejects.toThrow('it has free_trials, jobs');
  });
});

it('sends a message to the sandbox', async () => {
  const sandbox = await startSandbox();
  const env = { UNIPILE_DSN: sandbox.url, UNIPILE_API_KEY: SANDBOX_API_KEY };
  const sender = await testApp(definePunctual({ queues: [dmQueue] }), { migrations, env });
  try {
    const [account] = await sender.sql(
      `insert into punctual.accounts (provider, provider_account_id, name) values ('unipile', 'us', 'Ada') returning id`,
    );
    await sender.sql(
      `insert into punctual.dm_queue (account_id, channel, recipient, body) values ($1, 'linkedin', 'bob', 'Hello')`,
      [account.id],
    );
    expect(await sender.tick('dm_queue')).toMatchObject({ counts: { done: 1 } });
    expect(sandbox.deliveries()).toMatchObject([{ text: 'Hello' }]);
  } finally {
    await sender.close();
    await sandbox.close();
  }
});
