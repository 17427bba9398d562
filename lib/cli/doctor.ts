import { parseArgs } from 'node:util';
import { type AnyQueue, missingSettings } from '../queues/find-queue.ts';
import type { ServerEnv } from '../services/env.ts';
import { readIfThere } from './changes.ts';
import { CliError } from './cli-error.ts';
import { checkDatabase, type LastTicks } from './doctor/check-database.ts';
import { checkEnvironment } from './doctor/check-environment.ts';
import { checkSchedules } from './doctor/check-schedules.ts';
import { checkProviders, checkRedis } from './doctor/check-services.ts';
import { type Finding, fail, pass, warn } from './doctor/finding.ts';
import { readCronEntries } from './edit/vercel-crons.ts';
import { type Plan, planOf } from './plan.ts';
import { readAppFolder } from './project/app-folder.ts';
import { readAppPaths } from './project/init-files.ts';
import { loadApp } from './project/load-app.ts';
import { missingMigrations } from './project/missing-migrations.ts';
import type { Terminal } from './terminal.ts';

export const usage = `npx punctual doctor [--plan hobby|pro]

Checks the environment, the database with its schema and grants, Redis, the cron entries, the providers' credentials and the last ticks.
Each line is pass, warn or fail, with what to do. It sends nothing and changes nothing; the embedded database applies its migrations.

  --plan PLAN  the Vercel plan that the cron entries must fit. The default is the one that they fit.

To check production, run it with production's variables: npx vercel env run -- npx punctual doctor

Exit codes: 0 nothing fails, 1 something does, 2 wrong arguments or no app here.
`;

/** Prints the report. Returns the exit code. */
export async function doctor(args: string[], terminal: Terminal): Promise<number> {
  const { values } = parseArgs({ args, options: { plan: { type: 'string' } } });
  if (values.plan !== undefined && values.plan !== 'hobby' && values.plan !== 'pro')
    throw new CliError(`--plan ${values.plan}: the plan is hobby or pro`);
  const findings = await examine(terminal, values.plan);
  for (const { state, text, mend } of findings)
    terminal.print(`${state}  ${text}${mend ? `\n      ${mend}` : ''}`);
  const count = (state: Finding['state']) => findings.filter((finding) => finding.state === state).length;
  terminal.print(`\n${count('pass')} pass, ${count('warn')} warn, ${count('fail')} fail`);
  return count('fail') > 0 ? 1 : 0;
}

async function examine({ folder, env: source }: Terminal, plan: Plan | undefined): Promise<Finding[]> {
  readAppFolder(folder);
  const { env, findings } = checkEnvironment(source);
  const { queues, findings: ofApp } = await checkApp(folder, env);
  findings.push(...ofApp, ...checkFolder(folder));
  const crons = readIfThere(folder, 'vercel.json');
  findings.push(...checkSchedules(crons, plan, queues, readAppPaths(folder)));
  if (!env) return findings;
  const database = await checkDatabase(folder, env, source);
  findings.push(...database.findings);
  if (database.lastTicks) findings.push(...checkTicks(database.lastTicks, queues ?? [], crons));
  findings.push(...(await checkRedis(env)), ...(await checkProviders(env)));
  return findings;
}

async function checkApp(
  folder: string,
  env: ServerEnv | null,
): Promise<{ queues: readonly AnyQueue[] | null; findings: Finding[] }> {
  try {
    const { queues } = await loadApp(folder);
    const names = queues.map(({ name }) => name).join(', ') || 'no queue yet';
    const findings = [pass(`punctual.ts: ${names}`)];
    for (const queue of queues) {
      const missing = env && missingSettings(queue, env);
      if (missing)
        findings.push(
          warn(`queue ${queue.name}: ${missing.message}`, 'Its endpoint returns 503 until then.'),
        );
    }
    return { queues, findings };
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return {
      queues: null,
      findings: [fail(error.message, 'Correct it: neither the route nor the worker can start.')],
    };
  }
}

function checkFolder(folder: string): Finding[] {
  const missing = missingMigrations(folder);
  if (missing.length === 0) return [pass('migrations: the folder has those of the installed version')];
  const names = missing.map(({ file }) => file.split('/').at(-1)).join(', ');
  return [fail(`migrations: the folder lacks ${names}`, 'Run: npx punctual upgrade')];
}

/** Later than this, a tick is missing: five minutes, or a day and two hours where Vercel calls once a day. */
function checkTicks(lastTicks: LastTicks, queues: readonly AnyQueue[], vercelJson: string | null): Finding[] {
  const limitSeconds = planOf(safeEntries(vercelJson)) === 'pro' ? 300 : 26 * 3_600;
  return queues.map(({ name }) => {
    const seconds = lastTicks.get(name);
    if (seconds === undefined)
      return fail(`queue ${name}: the database does not know it`, 'Run: npx punctual migrate');
    if (seconds === null) return warn(`queue ${name}: no tick yet`, 'Deploy, and look again in a minute.');
    const text = `queue ${name}: its last tick was ${Math.round(seconds).toLocaleString('en-US')} s ago`;
    return seconds > limitSeconds
      ? warn(text, 'Look at the scheduler: is CRON_SECRET the same there?')
      : pass(text);
  });
}

function safeEntries(text: string | null) {
  try {
    return readCronEntries(text);
  } catch {
    return []; // Reported with the schedules.
  }
}
