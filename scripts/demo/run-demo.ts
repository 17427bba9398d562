import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { StoreError } from '../../lib/engine/ports/store-error.ts';
import { SANDBOX_API_KEY } from '../../lib/sandbox/shapes/unipile-shape.ts';
import { SANDBOX_ACCESS_TOKEN } from '../../lib/sandbox/shapes/whatsapp-shape.ts';
import { lockDirectory } from '../../lib/store/embedded/directory-lock.ts';
import { readCrons, startLocalScheduler } from '../../lib/worker/local-scheduler.ts';
import type { WatchedSequence } from './check-sequence.ts';
import { DemoClient } from './demo-client.ts';
import { DemoError } from './demo-error.ts';
import type { DemoOptions } from './demo-options.ts';
import { type DemoAccount, demoAccounts } from './inputs/demo-accounts.ts';
import { demoJobs } from './inputs/demo-jobs.ts';
import { demoMonitors } from './inputs/demo-monitors.ts';
import { demoPosts } from './inputs/demo-posts.ts';
import { demoReplies } from './inputs/demo-replies.ts';
import { demoRows } from './inputs/demo-rows.ts';
import {
  answerAfterMs,
  answerShares,
  demoSequences,
  peopleSeed,
  sequenceAccounts,
} from './inputs/demo-sequences.ts';
import { isBuilt, stampBuild } from './processes/build-stamp.ts';
import { checkPort } from './processes/check-port.ts';
import { Child, projectFolder } from './processes/child.ts';
import { childEnv } from './processes/child-env.ts';
import { showProgress } from './progress.ts';
import { rerunFailed } from './rerun-failed.ts';
import { keepRollingUp } from './roll-ups.ts';
import { checksIn } from './watch-line.ts';

const defaultIntervalMs = 10_000;
/** Shorter intervals, because a day of the demo's sequences lasts a few seconds. */
const shortIntervalMs: Record<string, number> = {
  '/api/cron/enrolments': 2_000,
  '/api/cron/dm-queue': 5_000,
};
/** The first start creates and migrates the database: about 6 s, more on a slow machine. */
const healthyWithinMs = 300_000;
const dataFolder = path.join(projectFolder, '.data/demo');
const logFolder = path.join(projectFolder, '.data/demo-logs');
const nextCommand = path.join(projectFolder, 'node_modules/next/dist/bin/next');

/** Runs the demo until a child process ends, and rejects with a `DemoError`. To end it, call the functions given to `onEnd`, the latest first. */
export async function runDemo(
  options: DemoOptions,
  onEnd: (end: () => Promise<void>) => void,
): Promise<never> {
  const app = `http://127.0.0.1:${options.port}`;
  const sandbox = `http://127.0.0.1:${options.sandboxPort}`;
  await checkPort(options.port, '--port');
  await checkPort(options.sandboxPort, '--sandbox-port');
  mkdirSync(logFolder, { recursive: true });
  prepareData(options.fresh);
  await build(onEnd);

  const [cronSecret, apiKey] = [newSecret(), newSecret()];
  console.log('Starting the sandbox, the app and its database …');
  const webhooks = { WHATSAPP_APP_SECRET: newSecret(), UNIPILE_WEBHOOK_SECRET: newSecret() };
  const sandboxChild = startSandbox(options.sandboxPort, app, webhooks);
  onEnd(() => sandboxChild.end());
  const appChild = startApp(options.port, sandbox, { CRON_SECRET: cronSecret, API_KEY: apiKey, ...webhooks });
  onEnd(() => appChild.end());
  const died = Promise.race([sandboxChild.died(), appChild.died()]);

  const client = new DemoClient(app, sandbox, apiKey, cronSecret);
  const { before, watched } = await Promise.race([load(client, options.rows, sandbox), died]);
  console.log(`
  Dashboard          ${app}
  Delivery log       ${sandbox}/deliveries   (all messages that the sandbox delivered)
  Replies            ${sandbox}/replies      (all messages that people wrote)
  CRON_SECRET        ${cronSecret}
  API_KEY            ${apiKey}

  Fire a tick yourself (the local scheduler does it every few seconds):
  curl -H 'Authorization: Bearer ${cronSecret}' ${app}/api/cron/dm-queue

  Query its database:
  STORE=embedded PUNCTUAL_DATA=.data/demo CRON_SECRET=${cronSecret} npm run sql -- --url ${app} 'select status, count(*) from punctual.dm_queue group by 1'

  Logs: .data/demo-logs/   Data: .data/demo (kept; delete it with --fresh)   Ctrl-C ends the demo.
`);
  let checks = 0;
  const crons = readCrons(path.join(projectFolder, 'vercel.json'));
  const intervals = new Set([defaultIntervalMs, ...Object.values(shortIntervalMs)]);
  const stopSchedulers = [...intervals].map((everyMs) =>
    startLocalScheduler({
      crons: crons.filter((cron) => (shortIntervalMs[cron.path] ?? defaultIntervalMs) === everyMs),
      baseUrl: app,
      cronSecret,
      everyMs,
      onReport(call) {
        checks += checksIn(call);
      },
      onError: (message) => progress.say(`local scheduler: ${message}`),
    }),
  );
  // Running ticks settle their rows first. Otherwise the rows would become unknown.
  onEnd(async () => {
    const stopped = Promise.all(stopSchedulers.map((stop) => stop()));
    await Promise.race([stopped, new Promise<void>((resolve) => setTimeout(resolve, 10_000))]);
  });
  const progress = showProgress(client, before, watched, () => checks, process.stdout);
  onEnd(async () => progress.stop());
  const failedBefore = before.find(({ name }) => name === 'jobs')?.states.dead.count ?? 0;
  const stopRerun = rerunFailed(client, failedBefore, progress.say);
  onEnd(async () => stopRerun());
  const stopRollUps = keepRollingUp(client, progress.say);
  onEnd(async () => stopRollUps());
  return died;
}

/** Checks that no other process uses the database, and deletes it if `fresh`. */
function prepareData(fresh: boolean): void {
  try {
    const unlock = lockDirectory(dataFolder);
    if (fresh) rmSync(dataFolder, { recursive: true, force: true });
    unlock();
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    throw new DemoError(`Another demo seems to be running: ${error.message}.`);
  }
}

async function build(onEnd: (end: () => Promise<void>) => void): Promise<void> {
  if (isBuilt(projectFolder)) return;
  console.log('Building the app (about 20 s, only after its sources have changed) …');
  const child = new Child('The build', [nextCommand, 'build'], childEnv(process.env, {}), logOf('build'));
  onEnd(() => child.end());
  const { code } = await child.exited;
  if (code !== 0) {
    throw new DemoError(`The build failed. Its last output, from ${logOf('build')}:\n${child.lastOutput()}`);
  }
  stampBuild(projectFolder);
}

function startSandbox(port: number, app: string, secrets: Record<string, string>): Child {
  const faults = ['--latency', '100-800', '--rate-limited', '0.04', '--lost', '0.05'];
  const webhooks = ['whatsapp', 'unipile'].flatMap((name) => [
    `--${name}-webhook`,
    `${app}/api/webhooks/${name}`,
  ]);
  const answered = sequenceAccounts.map((account) => account.provider_account_id).join(',');
  const people = [
    ...[
      '--seed',
      `${peopleSeed}`,
      '--people',
      answerShares.join(','),
      '--answer-after',
      answerAfterMs.join('-'),
    ],
    // `--steady` keeps the sequences' accounts free of lost responses: resolving one takes longer than a day of a sequence. Other accounts show it.
    ...['--answered', answered, '--steady', answered, '--enforce-window'],
  ];
  const args = [
    '--import',
    'tsx',
    'lib/sandbox/main.ts',
    '--port',
    String(port),
    ...faults,
    ...people,
    ...webhooks,
  ];
  return new Child('The sandbox', args, childEnv(process.env, secrets), logOf('sandbox'));
}

function startApp(port: number, sandbox: string, secrets: Record<string, string>): Child {
  const env = childEnv(process.env, {
    // Allows the embedded database and an open dashboard in a production build, on loopback only.
    PUNCTUAL_DEMO: '1',
    STORE: 'embedded',
    PUNCTUAL_DATA: dataFolder,
    UNIPILE_DSN: sandbox,
    UNIPILE_API_KEY: SANDBOX_API_KEY,
    // The sandbox shows a message at once, so the check need not wait the default ten minutes before a message is sent again.
    UNIPILE_MAX_LATE_SECONDS: '20',
    WHATSAPP_ACCESS_TOKEN: SANDBOX_ACCESS_TOKEN,
    WHATSAPP_BASE_URL: sandbox,
    // The sandbox serves the posts' pictures, the monitored sites, and the canary site that shows if the network works.
    MEDIA_ALLOW_PRIVATE: new URL(sandbox).host,
    MONITOR_ALLOW_PRIVATE: new URL(sandbox).host,
    MONITOR_CANARIES: `${sandbox}/sites/ok/canary`,
    ...secrets,
  });
  const args = [nextCommand, 'start', '-H', '127.0.0.1', '-p', String(port)];
  return new Child('The app', args, env, logOf('app'));
}

/** Waits for the app, and creates the demo's accounts, rows and enrolments. Returns the queues' statistics before, and the sequences to watch. */
async function load(client: DemoClient, count: number, sandbox: string) {
  await client.healthy(healthyWithinMs);
  const before = await client.stats();
  const save = (all: DemoAccount[]) => Promise.all(all.map((account) => client.saveAccount(account)));
  const [accounts, senders] = [await save(demoAccounts), await save(sequenceAccounts)];
  const runId = newRunId();
  const posts = demoPosts(accounts, sandbox, runId, Date.now());
  const jobs = demoJobs(runId, Date.now());
  const rows = demoRows(count, accounts, runId, Date.now());
  await client.write(demoReplies(rows, accounts));
  await client.sendDms(rows);
  await client.publishPosts(posts);
  await client.createJobs(jobs);
  const monitors = demoMonitors(sandbox);
  await client.createMonitors(monitors);
  const watched: WatchedSequence[] = [];
  for (const { sequence, people } of demoSequences(senders, runId))
    watched.push(await client.enrol(sequence, people));
  console.log(
    `Loaded ${count} direct messages and ${posts.length} posts from ${accounts.length} accounts, ${jobs.length} jobs and ${monitors.length} monitors.`,
  );
  console.log(
    `Enrolled ${watched.map(({ people, sequence }) => `${people.length} people in "${sequence.name}"`).join(', ')}.`,
  );
  return { before, watched };
}

const logOf = (name: string) => path.join(logFolder, `${name}.log`);
const newSecret = () => randomBytes(24).toString('base64url');
const newRunId = () => Date.now().toString(36);
