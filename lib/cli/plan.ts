import { type CronEntry, isFrequent } from '../worker/local-scheduler.ts';

/** A Vercel plan. Hobby calls each cron once a day, and refuses a deployment with a more frequent one. */
export type Plan = 'hobby' | 'pro';

/** The most cron entries of a project, on every plan. */
export const mostCrons = 100;

/** One entry that ticks every queue, and rolls up and prunes once a day. */
const hobbyCrons: CronEntry[] = [{ path: 'process-scheduled', schedule: '5 6 * * *' }];
/** Each queue has an entry of its own beside these. */
const proCrons: CronEntry[] = [
  { path: 'reconcile', schedule: '*/5 * * * *' },
  { path: 'analytics', schedule: '23 2 * * *' },
  { path: 'prune', schedule: '17 3 * * *' },
];

export interface Paths {
  basePath: string;
  trailingSlash: boolean;
}

/** Returns the URL path of a cron endpoint, as the app's basePath and trailingSlash have it: a scheduler follows no redirect. */
export const cronPath = (name: string, { basePath, trailingSlash }: Paths) =>
  `${basePath}/api/punctual/cron/${name}${trailingSlash ? '/' : ''}`;

/** Whether a cron entry is one of Punctual's. */
export const isOurs = ({ path }: CronEntry) => path.includes('/api/punctual/cron/');

/** Returns the entries that a plan needs besides those of queues. */
export function cronsOf(plan: Plan, paths: Paths): CronEntry[] {
  const entries = plan === 'hobby' ? hobbyCrons : proCrons;
  return entries.map(({ path, schedule }) => ({ path: cronPath(path, paths), schedule }));
}

/** Whether Hobby accepts the schedule: at most once a day. */
export function isDaily({ schedule }: CronEntry): boolean {
  const [minute = '', hour = ''] = schedule.trim().split(/\s+/);
  return /^\d+$/.test(minute) && /^\d+$/.test(hour);
}

/** Returns the plan that the entries fit; null if there are none to tell. */
export function planOf(crons: CronEntry[]): Plan | null {
  if (crons.length === 0) return null;
  return crons.every(isDaily) ? 'hobby' : 'pro';
}

/**
 * Returns the entry that a queue needs beside those that are there; null if one ticks it already. On Hobby the daily entry ticks all queues, and
 * another scheduler does the rest.
 */
export function cronOfQueue(pathName: string, crons: CronEntry[], paths: Paths): CronEntry | null {
  const own = { path: cronPath(pathName, paths), schedule: '* * * * *' };
  const all = crons.find(({ path }) => path === cronPath('process-scheduled', paths));
  if (crons.some(({ path }) => path === own.path)) return null;
  if (all && (isFrequent(all) || planOf(crons) === 'hobby')) return null;
  return planOf(crons) === 'pro' ? own : (cronsOf('hobby', paths)[0] ?? null);
}

/**
 * Returns entries for a process that may tick as often as it likes: Punctual's own of a vercel.json, or, where none of them is due hourly as on Hobby,
 * one that ticks all queues every minute.
 */
export function frequentCrons(crons: CronEntry[], paths: Paths): CronEntry[] {
  const ours = crons.filter(isOurs);
  const ticks = ours.filter((entry) => isFrequent(entry) && !entry.path.includes('/cron/reconcile'));
  if (ticks.length > 0) return ours;
  return [
    { path: cronPath('process-scheduled', paths), schedule: '* * * * *' },
    { path: cronPath('reconcile', paths), schedule: '*/5 * * * *' },
  ];
}
