import type { QueueStats } from '@/lib/store/stats.ts';
import { explanationHash } from './explained-row.ts';

type Partition = QueueStats['partitions'][number];

/**
 * Something that is wrong, in a few words. `wait` ends by itself. `warn` waits for a person's decision, or for a pause to end. `bad` lasts
 * until somebody corrects it.
 */
export interface Trouble {
  tone: 'wait' | 'warn' | 'bad';
  text: string;
  /** The part of the page that shows more. */
  href?: string;
}

/** Lists what is wrong with a queue. */
export function queueTroubles(queue: QueueStats): Trouble[] {
  const troubles: Trouble[] = [];
  if (queue.problem !== null)
    troubles.push({ tone: 'bad', text: queue.problem, href: `#queue-${queue.name}` });
  const failing = queue.failing ?? queue.ticks[0]?.report?.fault;
  // An unused queue may lack its settings on purpose.
  if (failing)
    troubles.push({ tone: queue.due_now.count > 0 ? 'bad' : 'warn', text: `ticks fail: ${failing}` });
  if (queue.paused_at !== null)
    troubles.push({ tone: 'warn', text: withReason('paused', queue.paused_reason) });
  const [first, ...others] = queue.unreachable;
  if (first) {
    const rows = others.reduce((sum, one) => sum + one.rows, first.rows).toLocaleString('en-US');
    const why = others.length === 0 ? `: ${first.reason}` : `, for ${others.length + 1} reasons`;
    troubles.push({ tone: 'bad', text: `${rows} unreachable${why}`, href: `#queue-${queue.name}` });
  }
  for (const { event, rows, row_id, text } of queue.noted) {
    const label = event === 'twice' ? 'delivered twice' : `with an error: ${text}`;
    troubles.push({
      tone: event === 'twice' ? 'bad' : 'warn',
      text: `${rows.toLocaleString('en-US')} ${label}`,
      ...(row_id !== null && { href: explanationHash(queue.name, row_id) }),
    });
  }
  if (queue.unticked !== null) troubles.push({ tone: 'bad', text: queue.unticked });
  const [refused, ...more] = queue.refused;
  if (refused) {
    const text =
      refused.account === null
        ? `${refused.provider} refuses every request`
        : `${more.length + 1} account${more.length === 0 ? ' is' : 's are'} refused`;
    troubles.push({ tone: 'bad', text, href: `#needs-you-${queue.name}` });
  }
  const { count } = queue.states.unknown;
  if (count > 0) {
    const text = `${count.toLocaleString('en-US')} ${queue.words.unknown}, may need your decision`;
    troubles.push({ tone: 'warn', text, href: `#needs-you-${queue.name}` });
  }
  return troubles;
}

/** Lists what is wrong with a partition: it is paused, or rows are due and none may start yet. */
export function partitionTroubles(partition: Partition): Trouble[] {
  const troubles: Trouble[] = [];
  if (partition.paused_at !== null)
    troubles.push({ tone: 'warn', text: withReason('paused', partition.paused_reason) });
  if (partition.waiting !== null && partition.due > 0)
    troubles.push({ tone: 'wait', text: withReason('blocked', partition.waiting) });
  return troubles;
}

function withReason(label: string, reason: string | null): string {
  return reason ? `${label}: ${reason}` : label;
}
