import { existsSync } from 'node:fs';
import path from 'node:path';
import { type Change, readIfThere } from '../changes.ts';
import { CliError } from '../cli-error.ts';
import { parses } from '../edit/parses.ts';
import { addQueue } from '../edit/queue-list.ts';
import { addCronEntries, readCronEntries } from '../edit/vercel-crons.ts';
import { cronOfQueue } from '../plan.ts';
import { type AppFolder, findDefinition } from '../project/app-folder.ts';
import { readAppPaths } from '../project/init-files.ts';
import { listMigrations, migrationsFolder } from '../project/missing-migrations.ts';
import { constantName, kebab, migrationText, type QueuePlan, queueFileText } from './queue-files.ts';

interface Result {
  changes: Change[];
  /** What the person must do by hand. */
  notes: string[];
}

/** Returns the files that make the table a queue of the app, without those that are there already. */
export async function queueChanges(app: AppFolder, plan: QueuePlan): Promise<Result> {
  const notes: string[] = [];
  const definition = findDefinition(app.root);
  if (definition === null) throw new CliError('There is no punctual.ts here. Run: npx punctual init');
  const folder = path.posix.dirname(definition);
  const base = folder === '.' ? '' : `${folder}/`;
  const changes = plan.table.queue ? [] : [migration(app.root, plan)];
  const source = readIfThere(app.root, definition) ?? '';
  // A small app may keep its queues in punctual.ts itself.
  if (!isDefined(source, plan.name)) {
    const file = `${base}queues/${kebab(plan.name)}.${path.posix.extname(definition).slice(1)}`;
    const text = readIfThere(app.root, file);
    if (text === null) changes.push({ file, before: null, after: queueFileText(plan) });
    else if (!isDefined(text, plan.name))
      throw new CliError(
        `${file} exists and does not define the queue ${plan.name}. Rename it, and run this again.`,
      );
    changes.push(...(await listed(definition, source, exportedName(text, plan.name), plan.name, notes)));
  }
  changes.push(...schedule(app, plan.name, notes));
  if (!app.dependencies.zod) notes.push(`zod is not among the dependencies. Run: ${app.installs} zod`);
  return { changes, notes };
}

const isDefined = (source: string, name: string) => new RegExp(`\\bname:\\s*(["'])${name}\\1`).test(source);

const exportedName = (text: string | null, name: string) =>
  /export const (\w+) = defineQueue/.exec(text ?? '')?.[1] ?? constantName(name);

function migration(root: string, plan: QueuePlan): Change {
  const now = new Date();
  const last = listMigrations(root).at(-1)?.slice(0, 14) ?? '';
  // Later than every file there, even if a file is from the future.
  const version = stamp(now) > last ? stamp(now) : stamp(new Date(readStamp(last).getTime() + 1_000));
  const file = `${migrationsFolder}/${version}_${plan.name}_queue.sql`;
  return { file, before: null, after: migrationText(plan) };
}

const stamp = (at: Date) => at.toISOString().replace(/\D/g, '').slice(0, 14);
const readStamp = (text: string) =>
  new Date(text.replace(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/, '$1-$2-$3T$4:$5:$6Z'));

async function listed(
  definition: string,
  source: string,
  constant: string,
  name: string,
  notes: string[],
): Promise<Change[]> {
  // An app that writes extensions in its imports gets one.
  const extension = /from\s*["'][.@~][^"']*\.ts["']/.test(source) ? '.ts' : '';
  const from = `./queues/${kebab(name)}${extension}`;
  const after = addQueue(source, constant, from);
  if (after === source) return [];
  if (after !== null && (await parses(after))) return [{ file: definition, before: source, after }];
  notes.push(
    `${definition} has a form that this does not edit. Add the queue yourself:\n  import { ${constant} } from '${from}';\n  definePunctual({ queues: [${constant}] })`,
  );
  return [];
}

function schedule({ root }: AppFolder, name: string, notes: string[]): Change[] {
  const before = readIfThere(root, 'vercel.json');
  const entry = cronOfQueue(kebab(name), readCronEntries(before), readAppPaths(root));
  if (!entry) return [];
  if (existsSync(path.join(root, 'vercel.ts'))) {
    if (!readIfThere(root, 'vercel.ts')?.includes(entry.path))
      notes.push(`vercel.ts is code, so add this entry to its crons yourself: ${JSON.stringify(entry)}`);
    return [];
  }
  return [{ file: 'vercel.json', before, after: addCronEntries(before, [entry]) }];
}
