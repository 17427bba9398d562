import type { Incident, Monitoring } from '../../store/monitoring.ts';
import type { Stats } from '../../store/stats.ts';
import type { ErrorGroup } from '../../store/story/error-group.ts';
import { plural } from '../plural.ts';
import { digest, type Need } from './need.ts';
import { queueNeeds } from './queue-needs.ts';

/** A schedule, and whether it has stopped: see `ScheduleCoverage`. */
export interface ListedSchedule {
  scheduler: string;
  path: string;
  schedule: string;
  queues: string[];
  lastSlot: string;
  silent: boolean;
}

const TONES: Need['tone'][] = ['bad', 'warn', 'wait'];
/** Names that one line lists. */
const maxNames = 3;

/**
 * Lists what waits for a person, the worst first. Without monitors or schedules, those could not be read. `errors` has the latest error groups of each
 * queue with failed rows; null if they could not be read.
 */
export function listNeeds(
  stats: Stats,
  monitoring: Monitoring | null,
  schedules: ListedSchedule[] | null,
  errors: ReadonlyMap<string, ErrorGroup[] | null> = new Map(),
): Need[] {
  const silent = silentSchedules(schedules ?? []);
  const isSilent = (queue: string) => schedules?.some((one) => one.silent && one.queues.includes(queue));
  const needs = [
    ...stats.queues.flatMap((queue) =>
      queueNeeds(isSilent(queue.name) ? { ...queue, unticked: null } : queue, errors.get(queue.name) ?? null),
    ),
    ...silent,
    ...incidents(monitoring?.incidents.open ?? []),
    ...pausedAccounts(stats.paused_accounts),
    ...pausedProviders(stats),
  ];
  return needs.sort((a, b) => TONES.indexOf(a.tone) - TONES.indexOf(b.tone));
}

function silentSchedules(schedules: ListedSchedule[]): Need[] {
  return schedules
    .filter(({ silent }) => silent)
    .map(({ scheduler, path, schedule, lastSlot }) => ({
      key: `silent.${digest([scheduler, path, schedule].join(' '))}`,
      count: 1,
      parts: [],
      queue: null,
      tone: 'bad',
      text: `${scheduler} no longer calls ${path}`,
      detail: 'Two of its slots have passed without a call.',
      since: lastSlot,
      href: '/schedules',
      act: 'Look',
      page: '/schedules',
    }));
}

/** Gives the open incidents one line, because a shared cause opens many at once. */
function incidents(open: Incident[]): Need[] {
  const [first] = [...open].sort((a, b) => Date.parse(a.started_at) - Date.parse(b.started_at));
  if (!first) return [];
  const names = open.slice(0, maxNames).map(({ monitor }) => monitor);
  if (open.length > maxNames) names.push(`${open.length - maxNames} more`);
  return [
    {
      key: 'incidents',
      count: open.length,
      parts: open.map(({ id }) => id),
      queue: null,
      tone: 'bad',
      text: `${plural(open.length, 'monitor is', 'monitors are')} down`,
      detail:
        open.length === 1 ? `${first.monitor}: ${first.cause ?? 'no cause is known'}` : names.join(', '),
      since: first.started_at,
      href: '/monitors#open-incidents',
      act: 'Look',
      page: '/monitors',
    },
  ];
}

function pausedAccounts(accounts: Stats['paused_accounts']): Need[] {
  return accounts.map(({ id, name, provider, until, reason }) => ({
    key: `account.${id}`,
    count: 1,
    parts: [digest(reason ?? '')],
    queue: null,
    // A pause with an end ends by itself.
    tone: until === null ? 'warn' : 'wait',
    text: `The ${provider} account ${name} is paused`,
    detail: reason,
    until,
    href: `/accounts/${id}`,
    act: 'Look',
    page: '/accounts',
  }));
}

function pausedProviders({ providers }: Stats): Need[] {
  return providers.map(({ name, paused_until, last_error }) => ({
    key: `provider.${name}`,
    count: 1,
    parts: [],
    queue: null,
    tone: 'wait',
    text: `${name} fails, so its rows wait until the next try`,
    detail: last_error,
    until: paused_until,
    href: '/',
    act: '',
    page: '/',
  }));
}
