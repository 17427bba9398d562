import type { QueueStats } from '@/lib/store/stats';
import { askHash } from './asked-row';

type Partition = QueueStats['partitions'][number];

/**
 * What is wrong, in a few words. `wait` gets better by itself, `warn` waits for a person or for a pause to end, `bad` never ends as things
 * stand.
 */
export interface Trouble {
  tone: 'wait' | 'warn' | 'bad';
  text: string;
  /** Where on the page there is more of it. */
  href?: string;
}

export function queueTroubles(queue: QueueStats): Trouble[] {
  const troubles: Trouble[] = [];
  if (queue.problem !== null)
    troubles.push({ tone: 'bad', text: queue.problem, href: `#queue-${queue.name}` });
  const failing = queue.failing ?? queue.ticks[0]?.report?.fault;
  // A queue that nobody uses may lack its settings for good.
  if (failing)
    troubles.push({ tone: queue.due_now.count > 0 ? 'bad' : 'warn', text: `its ticks fail: ${failing}` });
  if (queue.paused_at !== null)
    troubles.push({ tone: 'warn', text: reasoned('paused', queue.paused_reason) });
  const [first, ...others] = queue.unreachable;
  if (first) {
    const rows = others.reduce((sum, one) => sum + one.rows, first.rows).toLocaleString('en-US');
    const why = others.length === 0 ? first.reason : `for ${others.length + 1} reasons`;
    troubles.push({ tone: 'bad', text: `${rows} out of reach: ${why}`, href: `#queue-${queue.name}` });
  }
  for (const { event, rows, row_id, text } of queue.noted) {
    const what = event === 'twice' ? 'delivered twice' : `met an error: ${text}`;
    troubles.push({
      tone: event === 'twice' ? 'bad' : 'warn',
      text: `${rows.toLocaleString('en-US')} ${what}`,
      ...(row_id !== null && { href: askHash(queue.name, row_id) }),
    });
  }
  if (queue.unticked !== null) troubles.push({ tone: 'bad', text: queue.unticked });
  const [refused, ...more] = queue.refused;
  if (refused) {
    const text =
      refused.account === null
        ? `${refused.provider} refuses everything`
        : `${more.length + 1} account${more.length === 0 ? ' is' : 's are'} refused`;
    troubles.push({ tone: 'bad', text, href: `#needs-you-${queue.name}` });
  }
  const { count } = queue.states.unknown;
  if (count > 0) {
    const text = `${count.toLocaleString('en-US')} ${queue.words.unknown}, may need you`;
    troubles.push({ tone: 'warn', text, href: `#needs-you-${queue.name}` });
  }
  return troubles;
}

/** Of a partition: paused by somebody, or with rows due of which none may start yet. */
export function partitionTroubles(partition: Partition): Trouble[] {
  const troubles: Trouble[] = [];
  if (partition.paused_at !== null)
    troubles.push({ tone: 'warn', text: reasoned('paused', partition.paused_reason) });
  if (partition.waiting !== null && partition.due > 0)
    troubles.push({ tone: 'wait', text: reasoned('blocked', partition.waiting) });
  return troubles;
}

function reasoned(what: string, reason: string | null): string {
  return reason ? `${what}: ${reason}` : what;
}
