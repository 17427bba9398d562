import { describe, expect, it } from 'vitest';
import { addQueueCommand } from '@/lib/cli/add-queue.ts';
import { init } from '@/lib/cli/init.ts';
import { makeApp, readIn, readTree, terminalIn, writeIn } from './cli-bench.ts';

const table = `create type public.mood as enum ('calm', 'angry');
create table public."FreeTrials" (
  id uuid primary key default gen_random_uuid(),
  owner uuid references auth.users (id),
  email text not null,
  seats integer,
  tags text[] not null default '{}',
  mood public.mood,
  "full name" varchar(80),
  remind_at timestamptz,
  state text not null default 'active' check (state in ('active', 'done')),
  created_at timestamptz not null default now()
);
create policy only_mine on public."FreeTrials" using (owner = auth.uid());
select extensions.not_here();
`;

/** An app after init, with a table of its own. */
async function appWithTable(sql = table, vercel?: string): Promise<string> {
  const folder = makeApp({
    'supabase/migrations/20250101000000_trials.sql': sql,
    ...(vercel && { 'vercel.json': vercel }),
  });
  await init(['--yes'], terminalIn(folder).terminal);
  return folder;
}

const words = '{"pending": "active"}';
const args = ['queue', 'FreeTrials', '--delivery', 'at-most-once', '--status', 'state', '--yes'];
const widened = table.replace(
  "('active', 'done')",
  "('active', 'running', 'done', 'dead', 'unknown', 'cancelled')",
);

// Each opens a database in memory and applies all migrations, which takes seconds.
describe('npx punctual add queue', { timeout: 240_000 }, () => {
  it('writes the queue, its migration, the line and the cron, and nothing the second time', async () => {
    const folder = await appWithTable(
      widened,
      '{ "crons": [{ "path": "/api/cron", "schedule": "*/5 * * * *" }] }\n',
    );
    const before = readTree(folder);
    const first = terminalIn(folder);
    expect(await addQueueCommand([...args, '--words', words], first.terminal)).toBe(0);
    const after = readTree(folder);
    const added = Object.keys(after).filter((file) => !(file in before));
    expect(added).toEqual([
      'queues/free-trials.ts',
      expect.stringMatching(/^supabase\/migrations\/\d{14}_free_trials_queue\.sql$/),
    ]);
    // Later than every other migration.
    expect(added[1]).toBe(Object.keys(after).findLast((file) => file.endsWith('.sql')));
    expect(after[added[1] ?? '']).toContain(
      `select punctual.add_queue('free_trials', 'public."FreeTrials"', 'remind_at', 'at-most-once',
  p_status_column => 'state',
  p_words => '${words}');`,
    );
    expect(after['queues/free-trials.ts']).toContain(`  row: z.object({
    id: z.guid(),
    owner: z.guid().nullable(),
    email: z.string(),
    seats: z.number().nullable(),
    tags: z.array(z.string()),
    mood: z.enum(['calm', 'angry']).nullable(),
    'full name': z.string().nullable(),
    remind_at: z.iso.datetime({ offset: true }).nullable(),
    created_at: z.iso.datetime({ offset: true }),
  }),`);
    expect(after['punctual.ts']).toBe(
      before['punctual.ts']
        ?.replace('queues: []', 'queues: [freeTrials]')
        .replace("'punctual';\n", "'punctual';\nimport { freeTrials } from './queues/free-trials';\n"),
    );
    expect(after['vercel.json']).toContain(
      '{ "path": "/api/punctual/cron/free-trials", "schedule": "* * * * *" }',
    );

    const second = terminalIn(folder);
    expect(await addQueueCommand(['queue', 'public.FreeTrials'], second.terminal)).toBe(0);
    expect(second.printed()).toContain('Nothing to change: public."FreeTrials" is the queue free_trials.');
    expect(readTree(folder)).toEqual(after);
  });

  it('says what Punctual refuses about the table, and writes nothing', async () => {
    const folder = await appWithTable();
    const before = readTree(folder);
    await expect(addQueueCommand([...args, '--words', words], terminalIn(folder).terminal)).rejects.toThrow(
      /cannot be a queue yet\. add_queue: the check "FreeTrials_state_check" .* does not take the words/,
    );
    expect(readTree(folder)).toEqual(before);
  });

  it('asks a person for the delivery and the state of rows that are there', async () => {
    const folder = await appWithTable(
      'create table public.notes (id bigint primary key, due_at timestamptz);\n',
    );
    const { terminal, asked } = terminalIn(folder, { answers: ['at-least-once', 'done', 'y'] });
    expect(await addQueueCommand(['queue', 'notes'], terminal)).toBe(0);
    expect(asked).toEqual([
      expect.stringMatching(/^Delivery\?/),
      expect.stringMatching(/^Which state do the rows have/),
      expect.stringMatching(/^Write these/),
    ]);
    const migration = Object.entries(readTree(folder)).find(([file]) =>
      file.endsWith('notes_queue.sql'),
    )?.[1];
    expect(migration).toContain(`'at-least-once',\n  p_existing_rows => 'done');`);
    // The daily entry ticks it on Hobby.
    expect(JSON.parse(readIn(folder, 'vercel.json')).crons).toHaveLength(1);
  });

  it('says that a table is missing, and which statements could not be applied', async () => {
    const folder = await appWithTable();
    writeIn(folder, 'supabase/migrations/20250102000000_broken.sql', 'create table public.b (id nothing);\n');
    await expect(addQueueCommand(['queue', 'b'], terminalIn(folder).terminal)).rejects.toThrow(
      /There is no table b in supabase\/migrations\. Write a migration[\s\S]*20250102000000_broken\.sql, line 1: type "nothing" does not exist/,
    );
  });

  it('needs init first, and a delivery if there is nobody to ask', async () => {
    const bare = makeApp();
    await expect(addQueueCommand(args, terminalIn(bare).terminal)).rejects.toThrow(/Run: npx punctual init/);
    const folder = await appWithTable();
    await expect(
      addQueueCommand(['queue', 'FreeTrials', '--yes'], terminalIn(folder).terminal),
    ).rejects.toThrow('Pass --delivery at-least-once or --delivery at-most-once');
  });
});
