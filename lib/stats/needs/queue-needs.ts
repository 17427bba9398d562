import type { QueueStats } from '../../store/stats.ts';
import type { ErrorGroup } from '../../store/story/error-group.ts';
import { plural } from '../plural.ts';
import { digest, type Need } from './need.ts';

/** New errors of one queue that have a line of their own. */
const maxErrors = 5;

/** A line of a queue, whose key lacks the queue, without what all of its lines have. It counts one by default. */
type QueueNeed = Omit<Need, 'page' | 'queue' | 'count' | 'parts'> & Partial<Pick<Need, 'count' | 'parts'>>;

/** Lists what waits for a person in a queue. `groups`: its latest error groups; null if they could not be read. */
export function queueNeeds(queue: QueueStats, groups: ErrorGroup[] | null): Need[] {
  const page = `/queues/${queue.name}`;
  const needs: QueueNeed[] = [];
  const look = { href: page, act: 'Look' };
  if (queue.problem !== null)
    needs.push({
      key: 'problem',
      tone: 'bad',
      text: 'Its rows cannot be read',
      detail: queue.problem,
      ...look,
    });
  const fault = queue.failing ?? queue.last_tick?.fault;
  // An unused queue may lack its settings on purpose.
  if (fault)
    needs.push({
      key: 'fault',
      parts: [digest(fault)],
      tone: queue.due_now.count > 0 ? 'bad' : 'warn',
      text: 'Its ticks fail',
      detail: fault,
      ...look,
    });
  if (queue.unticked !== null)
    needs.push({
      key: 'unticked',
      tone: 'bad',
      text: 'Rows are due and no tick comes',
      detail: queue.unticked,
      href: '/schedules',
      act: 'Look',
    });
  needs.push(...failures(queue, groups));
  for (const { reason, rows } of queue.unreachable)
    needs.push({
      key: `unreachable.${digest(reason)}`,
      count: rows,
      tone: 'bad',
      text: `No tick can reach ${plural(rows, 'row')}`,
      detail: reason,
      href: `${page}#held`,
      act: 'Look',
    });
  for (const { provider, account, name, said, until } of queue.refused)
    needs.push({
      key: `refused.${account ?? digest(provider)}`,
      tone: 'bad',
      text:
        account === null ? `${provider} refuses every request` : `${provider} refuses the account ${name}`,
      detail: said,
      until,
      href: account === null ? `${page}#needs-you` : `/accounts/${account}`,
      act: account === null ? 'Try again' : 'Look',
    });
  if (queue.undecided.rows > 0) {
    const { rows } = queue.undecided;
    const { unknown } = queue.words;
    needs.push({
      key: 'undecided',
      count: rows,
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
      key: `noted.${event}`,
      count: rows,
      tone: event === 'twice' ? 'bad' : 'warn',
      text: `${plural(rows, 'row')} ${event === 'twice' ? 'delivered twice' : 'with an error'} in the last 24 hours`,
      detail: text,
      href: row_id === null ? page : `${page}/rows/${encodeURIComponent(row_id)}`,
      act: 'Look',
    });
  if (queue.paused_at !== null)
    needs.push({
      key: 'paused',
      parts: [queue.paused_at],
      tone: 'warn',
      text: 'The queue is paused',
      detail: queue.paused_reason,
      since: queue.paused_at,
      ...look,
    });
  for (const { name, paused_at, paused_reason } of queue.partitions)
    if (paused_at !== null)
      needs.push({
        key: `paused.${digest(name)}`,
        parts: [paused_at],
        tone: 'warn',
        text: `Its partition ${name} is paused`,
        detail: paused_reason,
        since: paused_at,
        href: `${page}#partitions`,
        act: 'Look',
      });
  return needs.map(({ key, ...need }) => ({
    count: 1,
    parts: [],
    ...need,
    key: `${queue.name}.${key}`,
    queue: queue.name,
    page,
  }));
}

/**
 * Gives each new error a line, because each has its own cause. Known errors get no line. Failed rows that no group explains, for example those that
 * SQL marked, keep the queue's line, so that none is hidden.
 */
function failures({ name, words, failed }: QueueStats, groups: ErrorGroup[] | null): QueueNeed[] {
  const errors = `/queues/${name}/errors`;
  const recent = (groups ?? []).filter(({ state, rows_dead }) => state !== 'gone' && rows_dead > 0);
  const fresh = recent.filter(({ state }) => state === 'new');
  const lines = fresh
    .slice(0, maxErrors)
    .map(({ id, text, example, rows_dead, rows_dead_more, first_at }): QueueNeed => {
      const rows = rows_dead_more ? `More than ${plural(rows_dead - 1, 'row')}` : plural(rows_dead, 'row');
      return {
        key: `error.${id}`,
        count: rows_dead,
        tone: 'bad',
        text: `${rows} ${words.dead}`,
        detail: example ?? text,
        since: first_at,
        href: `${errors}/${id}`,
        act: 'Look',
      };
    });
  const more = fresh.length - lines.length;
  if (more > 0)
    lines.push({
      key: 'errors',
      count: more,
      parts: fresh.slice(maxErrors).map(({ id }) => id),
      tone: 'bad',
      text: `Rows ${words.dead} with ${plural(more, 'more error')}`,
      href: errors,
      act: 'Look',
    });
  const explained = recent.reduce((sum, { rows_dead }) => sum + rows_dead, 0);
  const rest = failed.rows - explained;
  if (rest <= 0 || recent.some(({ rows_dead_more }) => rows_dead_more)) return lines;
  const rows =
    failed.rows >= 10_000 ? 'More than 9,999 rows' : plural(rest, recent.length > 0 ? 'other row' : 'row');
  lines.push({
    key: 'failed',
    count: rest,
    tone: 'bad',
    text: `${rows} ${words.dead} in the last 24 hours`,
    detail: recent.length > 0 ? null : failed.text,
    since: failed.first_at,
    href: errors,
    act: 'Look',
  });
  return lines;
}
