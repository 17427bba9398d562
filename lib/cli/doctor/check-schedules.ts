import { findEndpoint } from '../../cron/handlers/find-endpoint.ts';
import { type AnyQueue, pathName } from '../../queues/find-queue.ts';
import { type CronEntry, isSchedule } from '../../worker/local-scheduler.ts';
import { CliError } from '../cli-error.ts';
import { readCronEntries } from '../edit/vercel-crons.ts';
import { cronPath, isDaily, isOurs, mostCrons, type Paths, type Plan, planOf } from '../plan.ts';
import { type Finding, fail, pass, warn } from './finding.ts';

/**
 * Checks the cron entries of a `vercel.json` against the plan and the app's queues. `text` is null if there is no such file, and `queues` if the app
 * cannot be loaded.
 */
export function checkSchedules(
  text: string | null,
  asked: Plan | undefined,
  queues: readonly AnyQueue[] | null,
  paths: Paths,
): Finding[] {
  let crons: CronEntry[];
  try {
    crons = readCronEntries(text);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return [fail(`schedules: ${error.message}`, 'Vercel refuses such a file.')];
  }
  const findings: Finding[] = [];
  for (const { path, schedule } of crons.filter(({ schedule }) => !isSchedule(schedule)))
    findings.push(
      fail(`schedules: ${path}: "${schedule}" is not a cron expression`, 'Correct it in vercel.json.'),
    );
  if (crons.length > mostCrons)
    findings.push(
      fail(
        `schedules: vercel.json has ${crons.length} crons, and a project at most ${mostCrons}`,
        'Replace the entries of queues by one for cron/process-scheduled.',
      ),
    );
  const plan = asked ?? planOf(crons) ?? 'hobby';
  if (plan === 'hobby')
    for (const { path, schedule } of crons.filter((entry) => !isDaily(entry)))
      findings.push(
        fail(
          `schedules: ${path} (${schedule}) runs more than once a day, and Hobby refuses the deployment`,
          'Remove it, keep cron/process-scheduled once a day, and have another scheduler call it (docs/schedulers.md).',
        ),
      );
  const ours = crons.filter(isOurs);
  if (ours.length === 0)
    findings.push(
      warn(
        'schedules: vercel.json has no entry of Punctual',
        'Run: npx punctual init --plan hobby|pro. Leave it if another scheduler calls the app.',
      ),
    );
  if (queues) findings.push(...checkQueues(ours, queues, paths));
  if (findings.length === 0)
    findings.push(
      pass(`schedules: ${ours.length} ${ours.length === 1 ? 'entry' : 'entries'}, fit for ${plan}`),
    );
  if (plan === 'hobby' && ours.length > 0)
    findings.push(
      warn(
        'schedules: on Hobby, Vercel ticks once a day',
        'Have another scheduler call cron/process-scheduled every minute (docs/schedulers.md), if you have none yet.',
      ),
    );
  return findings;
}

function checkQueues(ours: CronEntry[], queues: readonly AnyQueue[], paths: Paths): Finding[] {
  const has = (name: string) => ours.some(({ path }) => path.split('?')[0] === cronPath(name, paths));
  const findings = ours
    .filter(({ path }) => !findEndpoint(path, queues))
    .map(({ path }) =>
      fail(`schedules: ${path} names no queue of punctual.ts`, 'Correct the path, or remove the entry.'),
    );
  if (ours.length === 0 || has('process-scheduled')) return findings;
  const unticked = queues.filter(({ name }) => !has(pathName(name)));
  return [
    ...findings,
    ...unticked.map(({ name }) =>
      warn(
        `schedules: no entry ticks the queue ${name}`,
        `Add { "path": "${cronPath(pathName(name), paths)}", "schedule": "* * * * *" } to crons in vercel.json.`,
      ),
    ),
  ];
}
