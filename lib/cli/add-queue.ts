import { parseArgs } from 'node:util';
import { withPostgres } from '../store/migrate/migrate-postgres.ts';
import { isPunctuals, MigrationError, readMigrations } from '../store/migrate/migrations.ts';
import { reviewAndWrite } from './changes.ts';
import { CliError } from './cli-error.ts';
import { readAppFolder } from './project/app-folder.ts';
import { migrationsFolder } from './project/missing-migrations.ts';
import { openMigratedDatabase } from './queue/migrated-database.ts';
import { queueChanges } from './queue/queue-changes.ts';
import { addQueueSql, type QueuePlan, queueName } from './queue/queue-files.ts';
import { type Delivery, dueCandidates, type Query, readTable, type Table } from './queue/table.ts';
import type { Terminal } from './terminal.ts';

export const usage = `npx punctual add queue <table> [--delivery at-least-once|at-most-once] [--due column] [--yes]

Makes a table a queue: writes its file with an empty perform, a migration, the line in punctual.ts and the entry of vercel.json. Reads the
table from the migrations of this app, or from the database at DATABASE_URL. Shows the changes first. Running it again changes nothing.

  --delivery D       at-least-once: an attempt that may have happened is repeated. at-most-once: it is not.
  --due COLUMN       the timestamptz column that says when a row is due.
  --status COLUMN    the column with the row's state, if it is not named status.
  --words JSON       your words for the states: '{"pending": "open", "done": "sent"}'.
  --existing-rows S  pending, done or cancelled: the state of the rows that are there, if the table has no column for it.
  --name NAME        the queue's name. The default is the table's.
  --yes              write without asking.

Exit codes: 0 written or nothing to do, 1 the table cannot be a queue, or declined, 2 wrong arguments, or nobody to ask.
`;

const options = {
  delivery: { type: 'string' },
  due: { type: 'string' },
  status: { type: 'string' },
  words: { type: 'string' },
  'existing-rows': { type: 'string' },
  name: { type: 'string' },
  yes: { type: 'boolean', default: false },
} as const;

/** Makes a table a queue. Returns the exit code. Throws a `CliError` before anything is written. */
export async function addQueueCommand(args: string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const [what, tableName, ...more] = positionals;
  if (what !== 'queue' || !tableName || more.length > 0) throw new CliError(`Name one table.\n\n${usage}`);
  const app = readAppFolder(terminal.folder);
  const plan = await withTable(terminal, tableName, async (table, trial) => {
    const plan = await makePlan(table, values, terminal);
    if (!table.queue) await trial?.(addQueueSql(plan));
    return plan;
  });
  const { changes, notes } = await queueChanges(app, plan);
  if (changes.length > 0) {
    const code = await reviewAndWrite(terminal, changes, values.yes);
    if (code !== 0) return code;
  } else terminal.print(`Nothing to change: ${plan.table.name} is the queue ${plan.name}.`);
  for (const note of notes) terminal.print(`\n${note}`);
  if (changes.length > 0) {
    terminal.print(
      '\nNext: write perform, then run npx punctual migrate. The embedded database migrates when the app starts again.',
    );
  }
  return 0;
}

/** Tries a call of `add_queue`. Throws a `CliError` with Punctual's answer if the table cannot be a queue. */
type Trial = (sql: string) => Promise<void>;

/** Passes the table to `work`. A table of the migrations can be tried as a queue, because its database is thrown away. */
async function withTable<T>(
  { folder, env }: Terminal,
  name: string,
  work: (table: Table, trial: Trial | null) => Promise<T>,
): Promise<T> {
  const files = await readMigrations(`${folder}/${migrationsFolder}`).catch((error: unknown) => {
    if (error instanceof MigrationError) throw new CliError(`${error.message}. Run: npx punctual init`);
    throw error;
  });
  if (!files.some(isPunctuals))
    throw new CliError(`${migrationsFolder} has no migration of Punctual. Run: npx punctual init`);
  const { database, faults } = await openMigratedDatabase(files);
  try {
    const table = await readTable(database.query, name);
    if (table) return await work(table, (sql) => tryQueue(database.query, sql));
  } finally {
    await database.close();
  }
  const url = env.DATABASE_URL;
  const table = url ? await withPostgres(url, (query) => readTable(query, name)) : null;
  if (table) return work(table, null);
  throw new CliError(missing(name, url !== undefined, faults), 1);
}

function missing(name: string, hasDatabase: boolean, faults: string[]): string {
  const text = `There is no table ${name} in ${migrationsFolder}${hasDatabase ? ' or in the database at DATABASE_URL' : ''}.`;
  const advice = hasDatabase
    ? 'Look at the spelling, or write a migration that creates it.'
    : 'Write a migration that creates it, or set DATABASE_URL if only your database has it.';
  const example = `  create table public.${queueName(name)} (\n    id bigint generated always as identity primary key,\n    due_at timestamptz\n  );`;
  const failed = faults.slice(0, 5).map((fault) => `\n  ${fault}`);
  return `${text} ${advice}\n${example}${failed.length > 0 ? `\nThese statements could not be applied here:${failed.join('')}` : ''}`;
}

async function tryQueue(query: Query, sql: string): Promise<void> {
  try {
    await query(sql);
  } catch (error) {
    const { message, hint } = error as Error & { hint?: string };
    throw new CliError(`The table cannot be a queue yet. ${message}${hint ? `\n${hint}` : ''}`, 1);
  }
}

type Values = Partial<Record<Exclude<keyof typeof options, 'yes'>, string>>;

/** Takes what the options say, what the registry knows and what a person answers. */
async function makePlan(table: Table, values: Values, { ask }: Terminal): Promise<QueuePlan> {
  const { queue } = table;
  if (queue) return { name: queue.name, table, dueColumn: queue.dueColumn, delivery: queue.delivery };
  const name = values.name ?? queueName(table.name);
  const dueColumn = values.due ?? (await chooseDue(table, ask));
  const delivery = values.delivery ?? (await ask?.(deliveryQuestion, 'at-most-once'));
  if (delivery !== 'at-least-once' && delivery !== 'at-most-once')
    throw new CliError(`Pass --delivery at-least-once or --delivery at-most-once. ${deliveryHelp}`);
  const hasState = table.columns.some(({ name }) => name === (values.status ?? 'status'));
  const words = values.words ?? (hasState && ask ? await ask(wordsQuestion) : undefined);
  return {
    name,
    table,
    dueColumn,
    delivery: delivery satisfies Delivery,
    statusColumn: values.status,
    words: words ? checkWords(words) : undefined,
    existingRows: values['existing-rows'] ?? (hasState || !ask ? undefined : await ask(rowsQuestion, 'done')),
  };
}

const deliveryHelp =
  'at-least-once repeats an attempt that may have happened, so a row may run twice. at-most-once leaves such a row to you.';
const deliveryQuestion = `Delivery? ${deliveryHelp}`;
const wordsQuestion =
  'Your words for pending, running, done, dead, unknown and cancelled, as JSON. Enter if the words are these:';
const rowsQuestion = 'Which state do the rows have that are there already: pending, done or cancelled?';

async function chooseDue(table: Table, ask: Terminal['ask']): Promise<string> {
  const candidates = dueCandidates(table);
  const [only, second] = candidates;
  if (only === undefined)
    throw new CliError(
      `${table.name} has no timestamptz column that says when a row is due. Add one in a migration: alter table ${table.name} add column due_at timestamptz`,
      1,
    );
  if (second === undefined) return only;
  if (!ask)
    throw new CliError(`Pass --due with the column that says when a row is due: ${candidates.join(', ')}`);
  return ask(`Which column says when a row is due: ${candidates.join(', ')}?`, only);
}

function checkWords(text: string): string {
  try {
    if (Object.values(JSON.parse(text)).every((word) => typeof word === 'string')) return text;
  } catch {
    // Reported below.
  }
  throw new CliError(`--words is not a JSON object of words: '{"pending": "open", "done": "sent"}'`);
}
