import { existsSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { type Change, readIfThere, reviewAndWrite } from './changes.ts';
import { CliError } from './cli-error.ts';
import { addEnvLines } from './edit/env-lines.ts';
import { wrapNextConfig } from './edit/next-config.ts';
import { parses } from './edit/parses.ts';
import { addCronEntries, readCronEntries } from './edit/vercel-crons.ts';
import { cronsOf, isOurs, type Plan, planOf } from './plan.ts';
import { type AppFolder, findDefinition, readAppFolder } from './project/app-folder.ts';
import {
  definitionText,
  exampleLines,
  findNextConfig,
  ignoreLines,
  localLines,
  readAppPaths,
  routeFiles,
  routeText,
} from './project/init-files.ts';
import { missingMigrations, orderHint } from './project/missing-migrations.ts';
import type { Terminal } from './terminal.ts';

export const usage = `npx punctual init [--plan hobby|pro] [--yes]

Adds Punctual to the Next.js app in this folder: migrations, punctual.ts, one route, cron entries, .env lines and the next.config.
Shows the changes first. Run it again at any time: it adds only what is missing, and changes nothing that is there.

  --plan PLAN  the Vercel plan that the cron entries must fit. The default fits the entries that are there, or else Hobby.
  --yes        write without asking.

Exit codes: 0 written or nothing to do, 1 declined, 2 wrong arguments, an app that does not fit, or nobody to ask.
`;

/** Adds Punctual to the app. Returns the exit code. Throws a `CliError` before anything is written. */
export async function init(args: string[], terminal: Terminal): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { plan: { type: 'string' }, yes: { type: 'boolean', default: false } },
  });
  if (values.plan !== undefined && values.plan !== 'hobby' && values.plan !== 'pro')
    throw new CliError(`--plan ${values.plan}: the plan is hobby or pro`);
  const app = readAppFolder(terminal.folder);
  const [, major] = /^[~^>=\s]*(\d+)\b/.exec(app.dependencies.next ?? '') ?? [];
  if (major !== undefined && Number(major) < 16)
    throw new CliError(
      `Punctual needs Next.js 16 or newer, and this app has ${major}. Run: ${app.installs} next@latest`,
    );
  const notes: string[] = [];
  const migrations = missingMigrations(app.root);
  const changes = [
    ...migrations,
    ...definition(app),
    ...route(app),
    ...(await vercel(app, terminal, values.plan, notes)),
    ...(await nextConfig(app, notes)),
    ...environment(app),
  ];
  const order = orderHint(app.root, migrations);
  notes.push(...hints(app), ...(order ? [order] : []));
  if (changes.length > 0) {
    const code = await reviewAndWrite(terminal, changes, values.yes);
    if (code !== 0) return code;
  } else terminal.print('Nothing to change: this app has everything that init writes.');
  for (const note of notes) terminal.print(`\n${note}`);
  if (changes.length > 0) terminal.print(nextSteps);
  return 0;
}

const nextSteps = `
Next:
  npx punctual add queue <table>   makes a table of your migrations a queue
  npm run dev                      starts the app
  npx punctual dev                 ticks it, in a second terminal`;

function definition(app: AppFolder): Change[] {
  const file = findDefinition(app.root);
  if (file === null)
    return [{ file: `${app.source}punctual.${app.extension}`, before: null, after: definitionText }];
  if (readIfThere(app.root, file)?.includes('definePunctual')) return [];
  throw new CliError(`${file} exists and does not call definePunctual. Rename it, and run this again.`);
}

function route(app: AppFolder): Change[] {
  const file = routeFiles(app).find((name) => existsSync(path.join(app.root, name)));
  if (!file) {
    const name = `${app.source}app/api/punctual/[[...path]]/route.${app.extension}`;
    return [{ file: name, before: null, after: routeText(app) }];
  }
  if (/['"]punctual\/next['"]/.test(readIfThere(app.root, file) ?? '')) return [];
  throw new CliError(`${file} exists and is not Punctual's. Move it to another path, and run this again.`);
}

async function vercel(
  app: AppFolder,
  terminal: Terminal,
  asked: Plan | undefined,
  notes: string[],
): Promise<Change[]> {
  const before = readIfThere(app.root, 'vercel.json');
  const crons = readCronEntries(before);
  if (asked === undefined && crons.some(isOurs)) return [];
  const plan = asked ?? planOf(crons) ?? (await askPlan(terminal));
  const entries = cronsOf(plan, readAppPaths(app.root));
  if (existsSync(path.join(app.root, 'vercel.ts'))) {
    if (entries.every(({ path }) => readIfThere(app.root, 'vercel.ts')?.includes(path))) return [];
    notes.push(`vercel.ts is code, so add these entries to its crons yourself: ${JSON.stringify(entries)}`);
    return [];
  }
  if (plan === 'hobby') {
    notes.push(
      "On Hobby, Vercel calls a cron once a day. For every minute add another scheduler, for example Supabase's pg_cron (docs/schedulers.md). On Pro, run: npx punctual init --plan pro",
    );
  }
  const after = addCronEntries(before, entries);
  return after === before ? [] : [{ file: 'vercel.json', before, after }];
}

async function askPlan({ ask }: Terminal): Promise<Plan> {
  for (;;) {
    const answer = ask ? await ask('Which Vercel plan, hobby or pro?', 'hobby') : 'hobby';
    if (answer === 'hobby' || answer === 'pro') return answer;
  }
}

async function nextConfig(app: AppFolder, notes: string[]): Promise<Change[]> {
  const file = findNextConfig(app.root);
  if (file === null) {
    const after = `import { withPunctual } from 'punctual/config';\n\nexport default withPunctual({});\n`;
    return [{ file: `next.config.${app.extension === 'ts' ? 'ts' : 'mjs'}`, before: null, after }];
  }
  const before = readIfThere(app.root, file) ?? '';
  const after = wrapNextConfig(before);
  if (after === before) return [];
  if (after !== null && (await parses(after))) return [{ file, before, after }];
  notes.push(
    `${file} has a form that init does not edit. Wrap its export yourself:\n  import { withPunctual } from 'punctual/config';\n  export default withPunctual(config);`,
  );
  return [];
}

function environment({ root }: AppFolder): Change[] {
  const changes: Change[] = [];
  const add = (change: Change) => change.after !== change.before && changes.push(change);

  const example = ['.env.example', '.env.local.example'].find((name) => existsSync(path.join(root, name)));
  const exampleText = readIfThere(root, example ?? '.env.example');
  const heading = 'Punctual. An empty variable counts as unset.';
  const after = addEnvLines(exampleText, exampleLines, heading, { countsComments: true });
  add({ file: example ?? '.env.example', before: exampleText, after });

  const local = readIfThere(root, '.env.local');
  const names = ['.env', '.env.development', '.env.development.local', '.env.production'];
  const lines = localLines([local, ...names.map((name) => readIfThere(root, name))]);
  const localText = addEnvLines(local, lines, 'Punctual');
  if (lines.length > 0) add({ file: '.env.local', before: local, after: localText, isSecret: true });

  const ignore = readIfThere(root, '.gitignore');
  const missing = ignoreLines(ignore);
  if (missing.length > 0) {
    const text = ignore ? `${ignore.replace(/\s*$/, '')}\n\n` : '';
    add({ file: '.gitignore', before: ignore, after: `${text}# Punctual\n${missing.join('\n')}\n` });
  }
  return changes;
}

function hints(app: AppFolder): string[] {
  const found: string[] = [];
  if (!app.dependencies.zod) found.push(`zod is not among the dependencies. Run: ${app.installs} zod`);
  const names = ['proxy', 'middleware'].flatMap((name) => [`${name}.ts`, `${name}.js`]);
  const proxy = names.find((name) => existsSync(path.join(app.root, app.source, name)));
  if (proxy && !readIfThere(app.root, `${app.source}${proxy}`)?.includes('api/punctual')) {
    found.push(
      `${app.source}${proxy} runs before Punctual's route. If it asks visitors to sign in, let /api/punctual pass: a scheduler has no session.`,
    );
  }
  return found;
}
