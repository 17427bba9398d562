import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { bareApp } from './try-package/bare-app.ts';

const usage = `npm run try:package -- [--src-app] [--existing-cron] [--pnpm] [--keep]

Packs Punctual, makes a bare Next.js app in an empty folder, adds Punctual to it by npx punctual init and add queue, builds and starts the
app, ticks it on the embedded database and sees the row done. Prints the seconds of each step.

  --src-app        the app has src/app and src/punctual.ts.
  --existing-cron  the app has a cron route and a vercel.json of its own.
  --pnpm           installs with pnpm.
  --keep           keeps the folder.

Exit codes: 0 the row is done, or pnpm is absent outside of CI; 1 a step failed; 2 wrong arguments.
`;

const root = fileURLToPath(new URL('..', import.meta.url));
const { values: options } = parseArgs({
  options: {
    'src-app': { type: 'boolean', default: false },
    'existing-cron': { type: 'boolean', default: false },
    pnpm: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const environment = {
  ...process.env,
  NEXT_TELEMETRY_DISABLED: '1',
  API_KEY: 'try-package',
  CI: process.env.CI ?? '1',
};
const runner = options.pnpm ? ['pnpm', 'exec'] : ['npx', '--no-install'];

function run(folder: string, command: string[]): string {
  const [program = '', ...args] = command;
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd: folder,
    env: environment,
    encoding: 'utf8',
  });
  if (status === 0) return stdout;
  throw new Error(`${command.join(' ')} ended with ${status ?? error?.message}:\n${stdout}${stderr}`);
}

const seconds: [step: string, seconds: number][] = [];
async function step<T>(name: string, work: () => T | Promise<T>): Promise<T> {
  const from = performance.now();
  const result = await work();
  seconds.push([name, (performance.now() - from) / 1_000]);
  console.log(`${seconds.at(-1)?.[1].toFixed(1).padStart(6)} s  ${name}`);
  return result;
}

/** A digest of the app's own files, to see whether a second run changes any. */
function digest(folder: string): string {
  const ignored = /^(?:node_modules|\.next|\.data)(?:\/|$)/;
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .filter((file) => !ignored.test(file));
  const hash = createHash('sha256');
  for (const file of files.sort()) hash.update(file).update(readFileSync(path.join(folder, file)));
  return hash.digest('hex');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts the built app and waits until it responds. */
async function start(folder: string, port: number): Promise<ChildProcess> {
  const next = path.join(folder, 'node_modules/next/dist/bin/next');
  const app = spawn(process.execPath, [next, 'start', '-p', String(port)], { cwd: folder, env: environment });
  let log = '';
  for (const stream of [app.stdout, app.stderr])
    stream?.on('data', (text) => {
      log += text;
    });
  for (let attempt = 0; attempt < 300; attempt += 1) {
    if (app.exitCode !== null) throw new Error(`next start ended:\n${log}`);
    if (await fetch(`http://127.0.0.1:${port}/`).catch(() => null)) return app;
    await sleep(100);
  }
  app.kill();
  throw new Error(`next start did not respond within 30 s:\n${log}`);
}

async function readJson(url: string, token: string): Promise<Record<string, unknown>> {
  const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
  const text = await response.text();
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${text}`);
  return JSON.parse(text);
}

function pack(folder: string): string {
  run(root, ['npm', 'run', '--silent', 'build:package']);
  const name = run(path.join(root, 'lib'), ['npm', 'pack', '--silent', '--pack-destination', folder]).trim();
  return path.join(folder, name);
}

/** Runs a command of Punctual twice. The second run must change nothing and say so. */
function twice(folder: string, args: string[]): void {
  run(folder, [...runner, 'punctual', ...args]);
  const before = digest(folder);
  const answer = run(folder, [...runner, 'punctual', ...args]);
  if (!answer.includes('Nothing to change'))
    throw new Error(`the second ${args[0]} did not say so:\n${answer}`);
  if (digest(folder) !== before) throw new Error(`the second ${args[0]} changed the app`);
}

/** Writes a migration that inserts a due row, after all others. */
function insertDueRow(folder: string): void {
  const migrations = path.join(folder, 'supabase/migrations');
  const last = readdirSync(migrations).sort().at(-1)?.slice(0, 14);
  writeFileSync(
    path.join(migrations, `${BigInt(last ?? 0) + 1n}_first_reminder.sql`),
    "insert into public.reminders (email, remind_at) values ('ann@example.com', now());\n",
  );
}

/** Opens the embedded database, before a tick: the tick's limit begins with its call. */
async function warmUp(port: number): Promise<void> {
  const health = await readJson(`http://127.0.0.1:${port}/api/punctual/health`, 'try-package');
  if (health.status !== 'ok') throw new Error(`the app is not healthy: ${JSON.stringify(health)}`);
}

async function tick(folder: string, port: number): Promise<void> {
  const secret = /^CRON_SECRET=(.+)$/m.exec(readFileSync(path.join(folder, '.env.local'), 'utf8'))?.[1] ?? '';
  const base = `http://127.0.0.1:${port}/api/punctual`;
  const report = await readJson(`${base}/cron/reminders`, secret);
  const rows = await readJson(`${base}/queues/reminders/rows?status=done`, 'try-package');
  if (!JSON.stringify(rows).includes('ann@example.com'))
    throw new Error(
      `the row is not done. The tick: ${JSON.stringify(report)}. Rows that are done: ${JSON.stringify(rows)}`,
    );
}

async function main(): Promise<number> {
  if (options.help) {
    process.stdout.write(usage);
    return 0;
  }
  if (options.pnpm && spawnSync('pnpm', ['--version']).status !== 0) {
    console.log('Skipped: pnpm is not installed here. Run: npm install --global pnpm');
    return process.env.CI ? 1 : 0;
  }
  const scratch = mkdtempSync(path.join(tmpdir(), 'punctual-try-'));
  const folder = path.join(scratch, 'app');
  let app: ChildProcess | null = null;
  try {
    mkdirSync(folder);
    const tarball = await step('build and pack Punctual', () => pack(scratch));
    const files = bareApp({ tarball, isInSource: options['src-app'], hasCron: options['existing-cron'] });
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
      writeFileSync(path.join(folder, file), text);
    }
    const install = options.pnpm ? ['pnpm', 'install'] : ['npm', 'install', '--no-audit', '--no-fund'];
    await step(install.join(' '), () => run(folder, install));
    await step('punctual init, twice', () => twice(folder, ['init', '--yes']));
    await step('punctual add queue, twice', () =>
      twice(folder, ['add', 'queue', 'reminders', '--delivery', 'at-least-once', '--yes']),
    );
    insertDueRow(folder);
    if (
      options['existing-cron'] &&
      !readFileSync(path.join(folder, 'vercel.json'), 'utf8').includes(
        files['vercel.json']?.split('\n')[3] ?? '-',
      )
    )
      throw new Error('vercel.json lost the cron that was there');
    await step('next build', () => run(folder, [...runner, 'next', 'build']));
    const port = await freePort();
    app = await step('next start', () => start(folder, port));
    await step('the embedded database starts', () => warmUp(port));
    await step('tick: the row is done', () => tick(folder, port));
    console.log(
      `${seconds
        .reduce((sum, [, one]) => sum + one, 0)
        .toFixed(1)
        .padStart(6)} s  in all`,
    );
    return 0;
  } finally {
    app?.kill();
    if (options.keep) console.log(`The app is in ${folder}`);
    else rmSync(scratch, { recursive: true, force: true });
  }
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error((error as Error).message);
    process.exit(1);
  },
);
