import { accountHref, errorHref, queueHref, rowHref } from '@/components/link.ts';
import { plural } from '@/components/plural.ts';
import type { Coverage } from '@/lib/cron/slots/schedule-coverage.ts';
import type { Incident, Monitoring } from '@/lib/store/monitoring.ts';
import type { QueueStats, Stats } from '@/lib/store/stats.ts';
import type { ErrorGroup } from '@/lib/store/story/error-group.ts';

/** Something that waits for a person, or that a person should know. */
export interface Need {
  key: string;
  /** `bad` lasts until somebody corrects it. `warn` waits for a decision. `wait` ends by itself. */
  tone: 'bad' | 'warn' | 'wait';
  /** The queue that it is about; null if it is about none. */
  queue: string | null;
  /** What it is and how many. */
  text: string;
  /** Why, in the words of the database or a provider. */
  detail?: string | null;
  since?: string | null;
  /** When it ends by itself. */
  until?: string | null;
  /** The page that shows more, and the words of the link to it. */
  href: string;
  act: string;
  /** The entry of the rail that is marked: a path of a page. */
  page: string;
}

const TONES: Need['tone'][] = ['bad', 'warn', 'wait'];
/** Names that one line lists. */
const maxNames = 3;
/** New errors of one queue that have a line of their own. */
const maxErrors = 5;

/**
 * Lists what waits for a person, the worst first. Without monitors or schedules, those could not be read. `errors` has the latest error groups of each
 * queue with failed rows; null if they could not be read.
 */
export function listNeeds(
  stats: Stats,
  monitoring: Monitoring | null,
  coverage: Coverage | null,
  errors: ReadonlyMap<string, ErrorGroup[] | null> = new Map(),
): Need[] {
  const silent = silentSchedules(coverage);
  const isSilent = (queue: string) =>
    coverage?.schedulers.some((one) => one.silent && one.queues.includes(queue));
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

/** A line of a queue, without what all of its lines have. */
type QueueNeed = Omit<Need, 'key' | 'page' | 'queue'>;

function queueNeeds(queue: QueueStats, groups: ErrorGroup[] | null): Need[] {
  const page = queueHref(queue.name);
  const needs: QueueNeed[] = [];
  const look = { href: page, act: 'Look' };
  if (queue.problem !== null)
    needs.push({ tone: 'bad', text: 'Its rows cannot be read', detail: queue.problem, ...look });
  const fault = queue.failing ?? queue.last_tick?.fault;
  // An unused queue may lack its settings on purpose.
  if (fault)
    needs.push({
      tone: queue.due_now.count > 0 ? 'bad' : 'warn',
      text: 'Its ticks fail',
      detail: fault,
      ...look,
    });
  if (queue.unticked !== null)
    needs.push({
      tone: 'bad',
      text: 'Rows are due and no tick comes',
      detail: queue.unticked,
      href: '/schedules',
      act: 'Look',
    });
  needs.push(...failures(queue, groups));
  for (const { reason, rows } of queue.unreachable)
    needs.push({
      tone: 'bad',
      text: `No tick can reach ${plural(rows, 'row')}`,
      detail: reason,
      href: `${page}#held`,
      act: 'Look',
    });
  for (const { provider, account, name, said, until } of queue.refused)
    needs.push({
      tone: 'bad',
      text:
        account === null ? `${provider} refuses every request` : `${provider} refuses the account ${name}`,
      detail: said,
      until,
      href: account === null ? `${page}#needs-you` : accountHref(account),
      act: account === null ? 'Try again' : 'Look',
    });
  if (queue.undecided.rows > 0) {
    const { rows } = queue.undecided;
    const { unknown } = queue.words;
    needs.push({
      tone: 'warn',
      text:
        rows === 1
          ? `1 row is ${unknown} and waits for your decision`
          : `${rows.toLocaleString('en-US')} rows are ${unknown} and wait for your decision`,
      since: queue.undecided.since,
      href: `${page}#needs-you`,
      act: 'Decide',
    });
  }
  for (const { event, rows, row_id, text } of queue.noted)
    needs.push({
      tone: event === 'twice' ? 'bad' : 'warn',
      text: `${plural(rows, 'row')} ${event === 'twice' ? 'delivered twice' : 'with an error'} in the last 24 hours`,
      detail: text,
      href: row_id === null ? page : rowHref(queue.name, row_id),
      act: 'Look',
    });
  if (queue.paused_at !== null)
    needs.push({
      tone: 'warn',
      text: 'The queue is paused',
      detail: queue.paused_reason,
      since: queue.paused_at,
      ...look,
    });
  for (const { name, paused_at, paused_reason } of queue.partitions)
    if (paused_at !== null)
      needs.push({
        tone: 'warn',
        text: `Its partition ${name} is paused`,
        detail: paused_reason,
        since: paused_at,
        href: `${page}#partitions`,
        act: 'Look',
      });
  return needs.map((need, n) => ({
    ...need,
    key: `${queue.name} ${n} ${need.text}`,
    queue: queue.name,
    page,
  }));
}

/**
 * Gives each new error a line, because each has its own cause. Known errors get no line. Failed rows that no group explains, for example those that
 * SQL marked, keep the queue's line, so that none is hidden.
 */
function failures({ name, words, failed }: QueueStats, groups: ErrorGroup[] | null): QueueNeed[] {
  const recent = (groups ?? []).filter(({ state, rows_dead }) => state !== 'gone' && rows_dead > 0);
  const fresh = recent.filter(({ state }) => state === 'new');
  const lines = fresh
    .slice(0, maxErrors)
    .map(({ id, text, example, rows_dead, rows_dead_more, first_at }): QueueNeed => {
      const rows = rows_dead_more ? `More than ${plural(rows_dead - 1, 'row')}` : plural(rows_dead, 'row');
      return {
        tone: 'bad',
        text: `${rows} ${words.dead}`,
        detail: example ?? text,
        since: first_at,
        href: errorHref(name, id),
        act: 'Look',
      };
    });
  const more = fresh.length - lines.length;
  if (more > 0)
    lines.push({
      tone: 'bad',
      text: `Rows ${words.dead} with ${plural(more, 'more error')}`,
      href: queueHref(name, '/errors'),
      act: 'Look',
    });
  const explained = recent.reduce((sum, { rows_dead }) => sum + rows_dead, 0);
  const rest = failed.rows - explained;
  if (rest <= 0 || recent.some(({ rows_dead_more }) => rows_dead_more)) return lines;
  const rows =
    failed.rows >= 10_000 ? 'More than 9,999 rows' : plural(rest, recent.length > 0 ? 'other row' : 'row');
  lines.push({
    tone: 'bad',
    text: `${rows} ${words.dead} in the last 24 hours`,
    detail: recent.length > 0 ? null : failed.text,
    since: failed.first_at,
    href: queueHref(name, '/errors'),
    act: 'Look',
  });
  return lines;
}

function silentSchedules(coverage: Coverage | null): Need[] {
  return (coverage?.schedulers ?? [])
    .filter(({ silent }) => silent)
    .map(({ scheduler, path, schedule, lastSlot }) => ({
      key: `silent ${scheduler} ${path} ${schedule}`,
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
    key: `account ${id}`,
    queue: null,
    // A pause with an end ends by itself.
    tone: until === null ? 'warn' : 'wait',
    text: `The ${provider} account ${name} is paused`,
    detail: reason,
    until,
    href: accountHref(id),
    act: 'Look',
    page: '/accounts',
  }));
}

function pausedProviders({ providers }: Stats): Need[] {
  return providers.map(({ name, paused_until, last_error }) => ({
    key: `provider ${name}`,
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
